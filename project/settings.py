"""Every setting of the product, read from the environment once, at start."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from project import env

BASE_DIR = Path(__file__).resolve().parent.parent
DEBUG = env.flag("DEBUG", False)
TESTING = "pytest" in sys.modules
SECRET_KEY = env.text("SECRET_KEY")
API_KEY_PEPPER = env.text("API_KEY_PEPPER").encode()
ENCRYPTION_KEY = env.key("ENCRYPTION_KEY")
DATA_DIR = Path(env.text("DATA_DIR", str(BASE_DIR / "var")))
JOURNAL_DIR = DATA_DIR / "journal"
PUBLIC_URL = env.web_address("PUBLIC_URL", "http://localhost:8000")
ALLOWED_HOSTS = env.words("ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
PRIVATE_NETWORKS = env.networks("PRIVATE_NETWORKS")
SANDBOX_URL = env.web_address("SANDBOX_URL", "")
LEDGER_RETENTION_DAYS = env.number("LEDGER_RETENTION_DAYS", 400, at_least=1, at_most=36500)
BODY_BYTES_MAX = env.number("BODY_BYTES_MAX", 10 * 2**20, at_least=1024, at_most=2**30)
API_REQUESTS_PER_MINUTE = env.number("API_REQUESTS_PER_MINUTE", 3000, at_least=0, at_most=10**6)
HTTPS = PUBLIC_URL.startswith("https://")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.socialaccount.providers.saml",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.github",
    "tenancy",
    "catalog",
    "analytics",
    "preferences",
    "routing",
    "project",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "project.middleware.StaticFiles",
    "project.middleware.PageHeaders",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "allauth.usersessions.middleware.UserSessionsMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "tenancy.shell.shell",
            ],
        },
    }
]
ROOT_URLCONF = "project.urls"
ASGI_APPLICATION = "project.asgi.application"

# Transaction-local settings carry the organization, so a pooled connection never remembers one.
# Pools leave idle connections behind when a test run ends, so tests go without.
_POOL = {"min_size": 0, "max_size": 8, "timeout": 5, "max_idle": 60}
DATABASES = {
    "default": {
        **env.database("DATABASE_URL"),
        "CONN_MAX_AGE": 0,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {} if TESTING else {"pool": _POOL},
    }
}
DATABASE_INGEST_URL = env.text("DATABASE_INGEST_URL", "")
REDIS_URL = env.redis("REDIS_URL", "redis://127.0.0.1:6379/0")
CELERY_BROKER_URL = env.text("CELERY_BROKER_URL", urlsplit(REDIS_URL)._replace(path="/1").geturl())
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "er-cache",
        "OPTIONS": {"socket_timeout": 1.0, "socket_connect_timeout": 1.0},
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "tenancy.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
if TESTING:  # a hash that is slow on purpose buys nothing here and takes minutes
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
EMAIL_CONSOLE = not env.text("EMAIL_URL", "")
globals().update(env.mail("EMAIL_URL"))
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "Enterprise Router <router@localhost>")
PASSWORD_RESET_TIMEOUT = 3600
ACCOUNT_ADAPTER = "tenancy.account_adapter.AccountAdapter"
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
# "mandatory" also hides from whoever signs up that an address has an account: mail tells its owner.
ACCOUNT_EMAIL_VERIFICATION = "optional" if EMAIL_CONSOLE else "mandatory"
MFA_ADAPTER = "tenancy.account_adapter.MfaAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1
# Browsers offer security keys over plain http on localhost alone.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not HTTPS
MFA_ALLOW_UNVERIFIED_EMAIL = EMAIL_CONSOLE
SOCIALACCOUNT_ADAPTER = "tenancy.sso.adapter.SocialAdapter"
SSO_TXT_LOOKUP = "tenancy.sso.dns.txt_records"
SOCIALACCOUNT_EMAIL_AUTHENTICATION_AUTO_CONNECT = True
SOCIALACCOUNT_PROVIDERS = env.sign_in_apps(
    google=(env.text("GOOGLE_CLIENT_ID", ""), env.text("GOOGLE_CLIENT_SECRET", "")),
    github=(env.text("GITHUB_CLIENT_ID", ""), env.text("GITHUB_CLIENT_SECRET", "")),
)
ACCOUNT_SIGNUP_REDIRECT_URL = "/enterprise-router/"
ALLAUTH_TRUSTED_PROXY_COUNT = env.number("TRUSTED_PROXY_COUNT", 0, at_least=0, at_most=10)
if HTTPS and not ALLAUTH_TRUSTED_PROXY_COUNT and not TESTING:
    raise env.SettingError(
        "PUBLIC_URL is https://, which a proxy in front must serve: set TRUSTED_PROXY_COUNT to how "
        "many proxies there are, or every page would redirect for ever."
    )
LOGIN_URL = "/accounts/login/"
LOGIN_REDIRECT_URL = "/enterprise-router/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/accounts/login/"

SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
SESSION_COOKIE_NAME = "__Host-er-session" if HTTPS else "er-session"
CSRF_COOKIE_NAME = "__Host-er-csrf" if HTTPS else "er-csrf"
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if HTTPS else []
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if HTTPS and ALLAUTH_TRUSTED_PROXY_COUNT else None
)
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^health/"]
SECURE_HSTS_SECONDS = 31536000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = BODY_BYTES_MAX

LANGUAGE_CODE = "en"
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"
STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING or DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    },
}
LOG_FORMAT = env.choice("LOG_FORMAT", "text", ("text", "json"))
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(levelname)s %(name)s: %(message)s"},
        "json": {"()": "project.logs.JsonFormatter"},
    },
    "handlers": {"out": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT}},
    "root": {"handlers": ["out"], "level": "INFO"},
    "loggers": {"httpx": {"level": "WARNING"}, "django.request": {"level": "ERROR"}},
}
SILENCED_SYSTEM_CHECKS: list[str] = []
