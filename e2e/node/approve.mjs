// What the user does in the browser: sign in, consent, and be sent back to the client.

/** Follows an authorization URL through the issuer's forms; answers with the parameters of the redirect back (code, state, iss). */
export async function approve(authorizationUrl, redirectUrl, login = 'alice') {
  const cookies = new Map();
  let url = new URL(authorizationUrl);
  let form; // to be sent to `url`; absent: GET it

  for (let step = 0; step < 12; step += 1) {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form,
      redirect: 'manual',
      headers: { Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      signal: AbortSignal.timeout(10_000),
    });
    for (const cookie of response.headers.getSetCookie()) {
      const [, name, value] = cookie.match(/^([^=]+)=([^;]*)/);
      value ? cookies.set(name, value) : cookies.delete(name);
    }
    const page = await response.text();
    const location = response.headers.get('location');
    if (location) {
      url = new URL(location, url);
      form = undefined;
      if (url.href.startsWith(redirectUrl) && url.searchParams.has('error')) throw new Error(`the issuer refuses: ${url.searchParams}`);
      if (url.href.startsWith(redirectUrl)) return url.searchParams;
    } else {
      const action = page.match(/<form[^>]* action="([^"]+)"/)?.[1];
      if (!action) throw new Error(`neither a redirect nor a form: ${response.status} at ${url}\n${page}`);
      url = new URL(action, url);
      form = new URLSearchParams({ login, password: 'any' });
      for (const [, name, value] of page.matchAll(/<input type="hidden" name="([^"]+)" value="([^"]*)"/g)) form.set(name, value);
    }
  }
  throw new Error(`still not sent back to ${redirectUrl}, now at ${url}`);
}
