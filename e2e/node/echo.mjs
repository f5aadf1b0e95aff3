// A server that answers each request with the headers that it got, in JSON, and with the length of the body.
import { createServer } from 'node:http';

createServer(async (req, res) => {
  let length = 0;
  for await (const part of req) length += part.length;
  res.writeHead(200, { 'Content-Type': 'application/json' });
  res.end(JSON.stringify({ target: `${req.method} ${req.url}`, headers: req.rawHeaders, length }));
}).listen(Number(process.argv[2]), '127.0.0.1');
