#!/usr/bin/env node
// A browser that alice uses: opens a page, signs in, consents, and follows the redirect back to the client.
//
//   BROWSER=e2e/node/browser.mjs a-client
import { approve } from './approve.mjs';

const page = process.argv[2];
const redirect = new URL(page).searchParams.get('redirect_uri');
const answers = await approve(page, redirect);
await fetch(`${redirect}?${answers}`, { signal: AbortSignal.timeout(10_000) });
