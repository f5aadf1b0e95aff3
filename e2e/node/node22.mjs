// Node 22, which some packages need: this one, or on Linux the one that is installed with the conformance suite.
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const installed = fileURLToPath(
  new URL(`../conformance/node_modules/node-${process.platform}-${process.arch}/bin/node`, import.meta.url),
);
export const node22 = Number(process.versions.node.split('.')[0]) >= 22 ? process.execPath : installed;

if (!existsSync(node22)) throw new Error('this needs Node 22 or later');
