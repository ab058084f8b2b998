import { readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server as HttpServer, type ServerResponse } from "node:http";
import { resolve } from "node:path";

/** What came from the browser to Jumelle's address. */
export interface Seen {
  method: string;
  path: string;
  headers: IncomingMessage["headers"];
  body: string;
}

/**
 * A shop's website, and before Jumelle a proxy that writes down what comes and can be in trouble. Two origins, as in life: a
 * browser's rules for requests to other hosts apply.
 */
export class Shop {
  readonly seen: Seen[] = [];
  /** What the next batches meet: an answer instead of Jumelle's, a cut before it hears of them, or after. */
  trouble: { status: number; retryAfter?: number } | "cut" | "cut after" | undefined;
  /** Batches still to be troubled. */
  troubles = 0;
  /** The page's head, put before the tag. */
  head = "";
  /** Attributes of the tag's script element. */
  attributes = 'data-write-key="wk_site"';
  url = "";
  cdp = "";
  private servers: HttpServer[] = [];

  constructor(private readonly upstream: string) {}

  async open(): Promise<this> {
    this.url = await this.listen((_, response) => {
      response.setHeader("content-type", "text/html; charset=utf-8");
      response.end(`<!doctype html><html lang="en"><head><title>Shop</title>${this.head}
        <script async src="${this.cdp}/tag.js" ${this.attributes}></script></head><body><h1>Shop</h1></body></html>`);
    });
    this.cdp = await this.listen((request, response) => void this.pass(request, response));
    return this;
  }

  async close(): Promise<void> {
    for (const server of this.servers) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
  }

  /** Back to a shop without trouble and without memory. */
  reset(): void {
    this.seen.length = 0;
    this.trouble = undefined;
    this.troubles = 0;
    this.head = SNIPPET;
    this.attributes = 'data-write-key="wk_site"';
  }

  get batches(): Seen[] {
    return this.seen.filter(({ path, method }) => path === "/v1/batch" && method === "POST");
  }

  /** Every event that came, as often as it came. */
  get events(): any[] {
    return this.batches.flatMap(({ body }) => JSON.parse(body).batch);
  }

  private async listen(handle: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
    const server = createServer(handle);
    this.servers.push(server);
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return `http://127.0.0.1:${(server.address() as { port: number }).port}`;
  }

  private async pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk);
    const body = Buffer.concat(chunks);
    const [method, path] = [request.method ?? "", request.url ?? ""];
    this.seen.push({ method, path, headers: request.headers, body: body.toString() });
    const trouble = path === "/v1/batch" && method === "POST" && this.troubles > 0 ? this.trouble : undefined;
    if (trouble) this.troubles -= 1;
    if (trouble === "cut") return void request.socket.destroy();
    if (typeof trouble === "object") {
      response.setHeader("access-control-allow-origin", "*");
      response.setHeader("access-control-expose-headers", "*");
      if (trouble.retryAfter) response.setHeader("retry-after", trouble.retryAfter);
      return void response.writeHead(trouble.status).end();
    }
    const headers = new Headers();
    for (const name of ["content-type", "origin", "access-control-request-method", "access-control-request-headers"]) {
      const value = request.headers[name];
      if (typeof value === "string") headers.set(name, value);
    }
    const answer = await fetch(this.upstream + path, { method, headers, ...(body.length ? { body } : {}) });
    const content = Buffer.from(await answer.arrayBuffer());
    if (trouble === "cut after") return void request.socket.destroy();
    for (const [name, value] of answer.headers) {
      if (!["content-encoding", "content-length", "transfer-encoding", "connection"].includes(name)) response.setHeader(name, value);
    }
    response.writeHead(answer.status).end(content);
  }
}

/** The snippet of docs/guide/tag.md, read from there, so that what is documented is what is tested. */
export const SNIPPET = (() => {
  const guide = readFileSync(resolve(import.meta.dirname, "../../docs/guide/tag.md"), "utf8");
  const found = guide.match(/<script>\n[^<]*jumelle[^<]*<\/script>/);
  if (!found) throw new Error("docs/guide/tag.md has no snippet");
  return found[0];
})();
