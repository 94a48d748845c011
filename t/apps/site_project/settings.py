# SPDX-License-Identifier: MIT
"""A Django project as startproject makes them; see test_django.py."""
import os

BASE = os.environ.get("SITE_DIR", ".")
SECRET_KEY = "for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "site_project.urls"
WSGI_APPLICATION = "site_project.wsgi.application"
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
if os.environ.get("SITE_GZIP"):
    MIDDLEWARE.insert(0, "django.middleware.gzip.GZipMiddleware")
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
DATABASES = {"default": {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": os.path.join(BASE, "db.sqlite3"),
    "OPTIONS": {"timeout": 20},
}}
MEDIA_ROOT = os.path.join(BASE, "media")
FILE_UPLOAD_MAX_MEMORY_SIZE = 100_000
DATA_UPLOAD_MAX_MEMORY_SIZE = 20_000_000
STATIC_URL = "static/"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
