"""An OpenID provider as a company would run it: allauth's own, in a process and database apart."""
