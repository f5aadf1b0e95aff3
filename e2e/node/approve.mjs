// What the user does in the browser: sign in, consent, and be sent back to the client.

/** Follows an authorization URL through the issuer's forms; returns the parameters of the redirect back (code, state, iss). */
export async function approve(authorizationUrl, redirectUrl, login = process.env.LOGIN ?? 'alice') {
  const cookies = new Map();
  let url = new URL(authorizationUrl);
  let form; // to be sent to `url`; if absent, GET it

  for (let step = 0; step < 12; step += 1) {
    const response = await fetch(url, {
      method: form ? 'POST' : 'GET',
      body: form,
      redirect: 'manual',
      headers: { Accept: 'text/html', Cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
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
      const tag = page.match(/<form\b[^>]*>/)?.[0];
      if (!tag) throw new Error(`neither a redirect nor a form: ${response.status} at ${url}\n${page}`);
      url = new URL(attribute(tag, 'action') ?? '', url);
      form = filled(page, login);
    }
  }
  throw new Error(`still not sent back to ${redirectUrl}, now at ${url}`);
}

/** The form with every field filled in and every box checked, sent by the last button that does not cancel, which is the one that consents. */
function filled(page, login) {
  const form = new URLSearchParams();
  for (const [tag] of page.matchAll(/<(?:input|button)\b[^>]*>/g)) {
    const name = attribute(tag, 'name');
    const type = attribute(tag, 'type');
    const typed = { text: login, password: 'any password' }[type];
    if (type === 'checkbox') form.append(name, attribute(tag, 'value') ?? 'on'); // several may have one name
    else if (name && name !== 'cancel') form.set(name, typed ?? attribute(tag, 'value') ?? '');
  }
  return form;
}

const CHARACTERS = { '&quot;': '"', '&#x27;': "'", '&lt;': '<', '&gt;': '>', '&amp;': '&' };

function attribute(tag, name) {
  const value = tag.match(new RegExp(`\\s${name}="([^"]*)"`))?.[1];
  return value?.replace(/&(?:quot|#x27|lt|gt|amp);/g, (written) => CHARACTERS[written]);
}
