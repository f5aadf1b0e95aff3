"""A real authorization server: django-oauth-toolkit, with admin endpoints by which the tests control it.

    python django_issuer.py --port 4000 --database issuer.sqlite3 [--answers username|sub]

It issues opaque tokens. By default its introspection endpoint answers with `username` and without `sub`. With a view that a project can
add, it answers with `sub` too. Clients register dynamically (RFC 7591). alice, the only user, signs in and consents in its pages. The
issuer has a path, `/o`. The admin endpoints, outside of it, are some of those of ../node/issuer.mjs: `GET /admin/hits`, `POST /admin/break`,
`POST /admin/repair`.
"""

import json
from argparse import ArgumentParser

import django
from django.conf import settings
from django.core.management import call_command
from django.http import JsonResponse
from django.urls import include, path

parser = ArgumentParser()
parser.add_argument("--port", required=True)
parser.add_argument("--database", required=True)
parser.add_argument("--answers", choices=["username", "sub"], default="username")
args = parser.parse_args()
issuer = f"http://127.0.0.1:{args.port}/o"

apps = ["auth", "contenttypes", "sessions"]
login = '<form method="post" action="">{% csrf_token %}{{ form }}<button>Sign in</button></form>'

settings.configure(
    SECRET_KEY="only for tests",
    ALLOWED_HOSTS=["127.0.0.1"],
    ROOT_URLCONF=__name__,
    LOGIN_URL="/login",
    USE_TZ=True,
    INSTALLED_APPS=[*(f"django.contrib.{app}" for app in apps), "oauth2_provider"],
    MIDDLEWARE=[
        f"{__name__}.admin_endpoints",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    ("django.template.loaders.locmem.Loader", {"registration/login.html": login}),
                    "django.template.loaders.app_directories.Loader",
                ]
            },
        }
    ],
    STATIC_URL="/static/",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": args.database}},
    MIGRATION_MODULES={app: None for app in [*apps, "oauth2_provider"]},  # creates the tables directly
    # A real hasher is slow, and the secret of an introspection client is hashed too: a quarter of a second for each request.
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
    OAUTH2_PROVIDER={
        "SCOPES": {"read": "Read", "write": "Write"},
        "ACCESS_TOKEN_EXPIRE_SECONDS": 300,
        "DCR_ENABLED": True,
        "DCR_REGISTRATION_PERMISSION_CLASSES": ["oauth2_provider.dcr.AllowAllDCRPermission"],
    },
)
django.setup()

from django.contrib.auth.models import User  # noqa: E402
from django.contrib.auth.views import LoginView  # noqa: E402
from oauth2_provider.models import Application  # noqa: E402
from oauth2_provider.urls import metadata_urlpatterns  # noqa: E402
from oauth2_provider.views import IntrospectTokenView  # noqa: E402


class IntrospectView(IntrospectTokenView):
    """Answers with `sub` too, which stays the same when a user is renamed."""

    @staticmethod
    def get_token_response(token_value=None):
        response = IntrospectTokenView.get_token_response(token_value)
        answer = json.loads(response.content)
        if "username" in answer:
            answer["sub"] = str(User.objects.get_by_natural_key(answer["username"]).pk)
        return JsonResponse(answer, status=response.status_code)


urlpatterns = [
    path("login", LoginView.as_view()),
    *([path("o/introspect/", IntrospectView.as_view())] if args.answers == "sub" else []),
    path("o/", include("oauth2_provider.urls")),
    path("", include(metadata_urlpatterns)),
]

hits = {"introspection": 0}
broken = False


def admin_endpoints(respond):
    """The admin endpoints of the tests, which come before everything else."""

    def middleware(request):
        global broken
        match request.method, request.path:
            case "GET", "/admin/hits":
                return JsonResponse(hits)
            case "POST", "/admin/break" | "/admin/repair":
                broken = request.path == "/admin/break"
                return JsonResponse({})
            case _, "/o/introspect/":
                hits["introspection"] += 1
                if broken:
                    return JsonResponse({"error": "broken"}, status=500)
        return respond(request)

    return middleware


call_command("migrate", run_syncdb=True, verbosity=0)
User.objects.create_user("alice", password="any password")
for client_id, secret in [("machine", "secret"), ("http://127.0.0.1/asks", "a secret: %, & and +")]:
    Application.objects.create(
        client_id=client_id,
        client_secret=secret,
        client_type=Application.CLIENT_CONFIDENTIAL,
        authorization_grant_type=Application.GRANT_CLIENT_CREDENTIALS,
    )
call_command("runserver", f"127.0.0.1:{args.port}", use_reloader=False)
