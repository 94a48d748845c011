# SPDX-License-Identifier: MIT
import hashlib
import os

from django.contrib.auth.models import User
from django.core.files.storage import default_storage
from django.db import transaction
from django.http import (FileResponse, HttpResponse, JsonResponse,
                         StreamingHttpResponse)
from django.middleware.csrf import get_token
from django.views.decorators.csrf import csrf_exempt


def index(request):
    return HttpResponse("Hello from Django\n", content_type="text/plain")


def form(request):
    if request.method == "POST":
        return JsonResponse({"post": dict(request.POST.lists()),
                             "get": dict(request.GET.lists())})
    return HttpResponse(get_token(request))


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


@csrf_exempt
def raw(request):
    sha = hashlib.sha256(request.body).hexdigest()
    return JsonResponse({"length": len(request.body), "sha": sha})


@csrf_exempt
def upload(request):
    out = {}
    for field, f in request.FILES.items():
        name = default_storage.save("up.bin", f)
        with default_storage.open(name) as saved:
            sha = hashlib.sha256(saved.read()).hexdigest()
        out[field] = {"name": f.name, "size": f.size, "sha": sha}
    return JsonResponse({"files": out, "post": request.POST.dict()})


def file(request):
    return FileResponse(open(os.environ["TEST_FILE"], "rb"),
                        as_attachment=True, filename="caf\xe9.bin")


def stream(request):
    return StreamingHttpResponse("line %d\n" % n for n in range(5))


def stream_fails(request):
    def lines():
        yield "begun"
        raise RuntimeError("while streaming")
    return StreamingHttpResponse(lines())


def fails(request):
    raise RuntimeError("in the view")


def where(request):
    return JsonResponse({"url": request.build_absolute_uri(),
                         "secure": request.is_secure(),
                         "prefix": request.META["SCRIPT_NAME"],
                         "remote": request.META["REMOTE_ADDR"]})


def text(request, name):
    return HttpResponse(name)


@csrf_exempt
def users(request):
    if request.method == "POST":
        with transaction.atomic():
            User.objects.create_user(request.POST["name"])
    return JsonResponse({"count": User.objects.count()})
