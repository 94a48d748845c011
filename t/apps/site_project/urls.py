# SPDX-License-Identifier: MIT
from django.contrib import admin
from django.urls import path

from . import views

urlpatterns = [
    path("", views.index),
    path("admin/", admin.site.urls),
    path("form", views.form),
    path("visits", views.visits),
    path("raw", views.raw),
    path("upload", views.upload),
    path("file", views.file),
    path("stream", views.stream),
    path("stream/fails", views.stream_fails),
    path("fails", views.fails),
    path("where", views.where),
    path("text/<str:name>", views.text),
    path("users", views.users),
]
