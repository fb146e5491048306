import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { freePort } from "./free-port.ts";

/** nginx with one file to serve. */
export interface Nginx {
  readonly origin: string;
  readonly stop: () => Promise<void>;
}

const READY_TRIES = 200;
const READY_POLL_MS = 50;

/** Starts nginx with a file of this text at this path; undefined where nginx is not installed. */
export async function startNginx(path: string, text: string): Promise<Nginx | undefined> {
  const isThere = await promisify(execFile)("nginx", ["-v"]).then(
    () => true,
    () => false,
  );
  if (!isThere) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "licet-nginx-"));
  const port = await freePort();
  const file = join(folder, "root", path);
  await mkdir(dirname(file), { recursive: true });
  // Started by root, its worker is somebody else.
  await chmod(folder, 0o755);
  await writeFile(file, text);
  await writeFile(join(folder, "nginx.conf"), configOf(folder, port));
  const nginx = spawn("nginx", ["-p", folder, "-c", join(folder, "nginx.conf"), "-e", join(folder, "error.log")], {
    stdio: "ignore",
  });
  const stop = async (): Promise<void> => {
    if (nginx.exitCode === null && nginx.signalCode === null) {
      const ended = once(nginx, "exit");
      nginx.kill("SIGTERM");
      await ended;
    }
    await rm(folder, { recursive: true, force: true });
  };
  const origin = `http://127.0.0.1:${port}`;
  for (let left = READY_TRIES; left > 0; left -= 1) {
    const answer = await fetch(origin + path).catch(() => undefined);
    if (answer?.status === 200 && (await answer.text()) === text) return { origin, stop };
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS));
  }
  await stop();
  throw new Error("nginx is installed but does not serve the file that it was given");
}

/** In the foreground, one worker as there is one server, and everything it writes inside the folder. */
function configOf(folder: string, port: number): string {
  const paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
  return `daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  open_file_cache max=100;
  default_type application/json;
  ${paths.map((name) => `${name}_temp_path ${folder}/${name};`).join("\n  ")}
  server {
    listen 127.0.0.1:${port};
    root ${folder}/root;
    add_header cache-control "public, max-age=15";
    add_header access-control-allow-origin "*";
  }
}
`;
}
