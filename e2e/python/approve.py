"""What the user does in the browser: sign in, consent, and be sent back to the client."""

import os
import re
from html import unescape
from http.cookiejar import DefaultCookiePolicy
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2


async def approve(authorization_url: str, redirect_url: str, login: str = os.environ.get("LOGIN", "alice")) -> dict[str, str]:
    """Follows an authorization URL through the issuer's forms; returns the parameters of the redirect back (code, state, iss)."""
    url, form = authorization_url, None
    async with httpx2.AsyncClient(headers={"Accept": "text/html"}, timeout=10) as browser:
        # Browsers send secure cookies to this machine without TLS.
        browser.cookies.jar.set_policy(DefaultCookiePolicy(secure_protocols=["http"]))
        for _ in range(12):
            response = await (browser.get(url) if form is None else browser.post(url, data=form))
            if location := response.headers.get("location"):
                url, form = urljoin(url, location), None
                if url.startswith(redirect_url):
                    answer = dict(parse_qsl(urlsplit(url).query))
                    if "error" in answer:
                        raise RuntimeError(f"the issuer refuses: {answer}")
                    return answer
            elif tag := re.search(r"<form\b[^>]*>", response.text):
                url = urljoin(url, attribute(tag[0], "action") or url)
                form = filled(response.text, login)
            else:
                raise RuntimeError(f"neither a redirect nor a form: {response.status_code} at {url}\n{response.text}")
    raise RuntimeError(f"still not sent back to {redirect_url}, now at {url}")


def filled(page: str, login: str) -> dict[str, str | list[str]]:
    """The form with every field filled in and every box checked, sent by the last button that does not cancel, which is the one that consents."""
    form = {}
    for tag in re.findall(r"<(?:input|button)\b[^>]*>", page):
        name, kind = attribute(tag, "name"), attribute(tag, "type")
        typed = {"text": login, "password": "any password"}.get(kind)
        if kind == "checkbox":
            form.setdefault(name, []).append(attribute(tag, "value") or "on")  # several may have one name
        elif name and name != "cancel":
            form[name] = typed or attribute(tag, "value") or ""
    return form


def attribute(tag: str, name: str) -> str | None:
    value = re.search(rf'\s{name}="([^"]*)"', tag)
    return value and unescape(value[1])
