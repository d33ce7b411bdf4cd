"""Single sign-on of organizations: by OpenID Connect and SAML, for the e-mail domains they own."""
