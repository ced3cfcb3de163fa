// The pages of a folder before a server that has others in it: what was just built is looked at without building the
// binary anew. Everything but the pages' files is the server's own, their headers (the policy among them) included.

import { existsSync, readFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { join } from "node:path";

const KINDS = { js: "text/javascript", css: "text/css", svg: "image/svg+xml" };

/** Stands before `target` with the pages of `folder`; resolves to its address and how to end it. */
export async function before(target, folder) {
  const { host, port } = new URL(target);
  const server = createServer((asked, answer) => {
    const path = asked.url.split("?")[0];
    const file = join(folder, path);
    if (/^\/assets\/[\w.-]+$/.test(path) && existsSync(file)) {
      const packed = existsSync(`${file}.br`);
      answer.writeHead(200, {
        "content-type": KINDS[path.split(".").at(-1)] ?? "application/octet-stream",
        "cache-control": "public, max-age=31536000, immutable",
        "x-content-type-options": "nosniff",
        ...(packed ? { "content-encoding": "br" } : {}),
      });
      answer.end(readFileSync(packed ? `${file}.br` : file));
      return;
    }
    const headers = { ...asked.headers, host };
    if (headers.origin) headers.origin = `http://${host}`;
    const passed = request({ host: "127.0.0.1", port, path: asked.url, method: asked.method, headers }, (got) => {
      if (got.statusCode === 200 && got.headers["content-type"]?.startsWith("text/html")) {
        got.resume();
        const { "content-length": _, "content-encoding": __, "transfer-encoding": ___, etag: ____, ...kept } = got.headers;
        answer.writeHead(200, kept);
        answer.end(readFileSync(join(folder, "index.html")));
        return;
      }
      answer.writeHead(got.statusCode, got.headers);
      got.pipe(answer);
    });
    // A browser that leaves ends its question at the server too.
    answer.on("close", () => passed.destroy());
    passed.on("error", () => answer.destroy());
    asked.pipe(passed);
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    stop() {
      server.closeAllConnections();
      return new Promise((done) => server.close(done));
    },
  };
}
