import { AUTHORIZATION } from "./authorization.ts";

const ROUTES = Object.keys(AUTHORIZATION).map((name) => {
  const [method = "", template = ""] = name.split(" ");
  return { method, pattern: new RegExp(`^${template.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}$`) };
});

/** The methods that a path takes, by the authorization table; none when there is nothing at the path. */
export function allowedMethods(path: string): readonly string[] {
  const methods = new Set(ROUTES.filter(({ pattern }) => pattern.test(path)).map(({ method }) => method));
  if (methods.has("GET")) methods.add("HEAD");
  return [...methods];
}
