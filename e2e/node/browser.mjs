#!/usr/bin/env node
// A browser that alice uses: opens a page, signs in, consents, and follows the redirect back to the client.
//
//   BROWSER=e2e/node/browser.mjs a-client
//   browser.mjs --print PAGE    prints the URL of the redirect instead of following it
//
// With LOGIN in its environment, the user is not alice but LOGIN.
import { approve } from './approve.mjs';

const page = process.argv.at(-1);
const redirect = new URL(page).searchParams.get('redirect_uri');
const answers = await approve(page, redirect);
if (process.argv[2] === '--print') console.log(`${redirect}?${answers}`);
else await fetch(`${redirect}?${answers}`, { signal: AbortSignal.timeout(10_000) });
