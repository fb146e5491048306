import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { describe, expect, test } from "vitest";
import vectors from "../vectors/public-url.json" with { type: "json" };
import { isAddress, isPublicAddress } from "./public-address.ts";
import { checkPublicUrl, hostAndPort } from "./public-url.ts";
import { ROUNDS, casesOf, outcome } from "./testing/vectors.ts";

interface Input {
  readonly url: string;
  readonly allowed_hosts?: readonly string[];
}

describe("a URL that somebody else chose", () => {
  test.each(casesOf<Input, { href: string }>(vectors))("$name", ({ url, allowed_hosts = [], expect: expected }) => {
    const judged = checkPublicUrl(url, { allowedHosts: allowed_hosts });
    expect(outcome(judged, ({ href }) => ({ href }))).toEqual(expected);
  });

  test("is judged whatever it holds, and never to a host that is not public", () => {
    const host = fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6(), fc.domain(), fc.string({ unit: "binary" }));
    fc.assert(
      fc.property(host, fc.string(), (name, rest) => {
        for (const text of [`https://${name}/${rest}`, `https://[${name}]${rest}`, `${name}${rest}`]) {
          const judged = checkPublicUrl(text);
          if (!judged.ok) continue;
          const address = judged.value.hostname.replace(/[[\]]/g, "");
          expect(isAddress(address) ? isPublicAddress(address) : address).toBeTruthy();
          expect([judged.value.protocol, judged.value.username]).toEqual(["https:", ""]);
        }
      }),
      { numRuns: ROUNDS },
    );
  });

  test("names its host and port as an allowance does", () => {
    const named = ["https://a.example/", "http://a.example/", "https://[::1]:8443/"].map((url) =>
      hostAndPort(new URL(url)),
    );
    expect(named).toEqual(["a.example:443", "a.example:80", "[::1]:8443"]);
  });
});

describe("an address", () => {
  test("is public only where another library says so too", () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        if (isPublicAddress(text)) expect(ipaddr.parse(text).range()).toBe("unicast");
      }),
      { numRuns: ROUNDS * 10 },
    );
  });

  test("that another library calls ordinary is public, but for what clouds and relays keep for themselves", () => {
    const kept = ["168.63.129.16/32", "192.31.196.0/24", "192.52.193.0/24", "192.175.48.0/24"].map((range) =>
      ipaddr.IPv4.parseCIDR(range),
    );
    fc.assert(
      fc.property(fc.ipV4(), (text) => {
        const address = ipaddr.IPv4.parse(text);
        const isOrdinary = address.range() === "unicast" && !kept.some((range) => address.match(range));
        expect(isPublicAddress(text)).toBe(isOrdinary);
      }),
      { numRuns: ROUNDS * 10 },
    );
  });

  test("is read in its plain spelling alone", () => {
    const plain = ["8.8.8.8", "2606:4700::1", "::", "1:2:3:4:5:6:7:8", "::ffff:1.2.3.4", "1:2:3:4:5:6:1.2.3.4"];
    const odd = ["", "8.8.8", "08.8.8.8", "8.8.8.8.", "0x8.8.8.8", "8.8.8.256", "1e1.8.8.8", " 8.8.8.8", "::1%eth0"];
    const oddIpv6 = [
      ":::",
      "1::2::3",
      "1:2:3:4:5:6:7",
      "1:2:3:4:5:6:7:8:9",
      "1:2:3:4:5:6:7:8::",
      "12345::",
      "::1.2.3",
      ":1",
      "1:",
    ];
    expect(plain.filter((text) => !isAddress(text))).toEqual([]);
    expect([...odd, ...oddIpv6].filter(isAddress)).toEqual([]);
    expect([...odd, ...oddIpv6].filter(isPublicAddress)).toEqual([]);
  });
});
