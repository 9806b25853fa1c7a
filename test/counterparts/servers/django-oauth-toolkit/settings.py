"""A Django site with nothing but django-oauth-toolkit, as its tutorial sets it up, and OpenID Connect."""

import os

SECRET_KEY = "a secret of the site"
DEBUG = False
ALLOWED_HOSTS = ["localhost"]
ROOT_URLCONF = "urls"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "oauth2_provider"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.path.join(os.environ["FOLDER"], "database"),
        "OPTIONS": {"timeout": 60},
    }
}
with open(os.path.join(os.environ["FOLDER"], "key.pem")) as file:
    KEY = file.read()
OAUTH2_PROVIDER = {
    "OIDC_ENABLED": True,
    "OIDC_RSA_PRIVATE_KEY": KEY,
    "SCOPES": {"openid": "OpenID Connect", "orders:read": "Read orders"},
}
