"""What the user does in the browser: sign in, consent, and be sent back to the client."""

import re
from html import unescape
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx2


async def approve(authorization_url: str, redirect_url: str, login: str = "alice") -> dict[str, str]:
    """Follows an authorization URL through the issuer's forms; returns the parameters of the redirect back (code, state, iss)."""
    url, form = authorization_url, None
    async with httpx2.AsyncClient(follow_redirects=False, timeout=10) as browser:
        for _ in range(12):
            response = await (browser.post(url, data=form) if form else browser.get(url))
            if location := response.headers.get("location"):
                url, form = urljoin(url, location), None
                if url.startswith(redirect_url):
                    answer = dict(parse_qsl(urlsplit(url).query))
                    if "error" in answer:
                        raise RuntimeError(f"the issuer refuses: {answer}")
                    return answer
            elif action := re.search(r'<form[^>]* action="([^"]+)"', response.text):
                url = urljoin(url, unescape(action[1]))
                form = {"login": login, "password": "any"}
                form |= re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', response.text)
            else:
                raise RuntimeError(f"neither a redirect nor a form: {response.status_code} at {url}\n{response.text}")
    raise RuntimeError(f"still not sent back to {redirect_url}, now at {url}")
