"""Settings, URLs, ASGI, Celery, the embedded services and the process runner."""
