import worker from "../worker.ts";
import type { Settings } from "../config.ts";
import type { Asking, TestEdge } from "./test-edge.ts";

/** The Worker itself, called as the runtime calls it. */
export async function startHost(
  settings: Settings,
  { upstream, site }: { readonly upstream: string; readonly site: string },
): Promise<TestEdge> {
  const env = { ...settings, LICET_EDGE_UPSTREAM: upstream };
  const pending: Promise<unknown>[] = [];
  const context = { waitUntil: (work: Promise<unknown>) => void pending.push(work) };
  const settle = async (): Promise<void> => {
    while (pending.length > 0) await Promise.all(pending.splice(0));
  };
  return {
    ask: async ({ target = "/", method = "GET", headers = [], body, tlsClientAuth }: Asking) => {
      const lines = new Headers();
      for (const [name, value] of headers) lines.append(name, value);
      const request = new Request(`${site}${target}`, {
        method,
        headers: lines,
        redirect: "manual",
        ...(body === undefined ? {} : { body }),
      });
      if (tlsClientAuth !== undefined) Object.defineProperty(request, "cf", { value: { tlsClientAuth } });
      const response = await worker.fetch(request, env, context);
      return { status: response.status, headers: response.headers, text: await response.text() };
    },
    settle,
    close: settle,
  };
}
