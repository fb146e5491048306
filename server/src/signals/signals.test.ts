import type { JsonObject } from "@licet/protocol";
import { XMLParser, XMLValidator } from "fast-xml-parser";
import { describe, expect, test } from "vitest";
import {
  enrolCreator,
  expectStatus,
  giveConsent,
  publishDataset,
  registerWork,
  uniqueId,
} from "../../../test/fixtures/actors.ts";
import { registerWorks } from "../../../test/fixtures/datasets.ts";
import { startPlatform } from "../../../test/fixtures/platform.ts";
import { parseRobots } from "../../../test/fixtures/robots.ts";
import { readRsl, specificity } from "../../../test/fixtures/rsl-client.ts";
import { renderDueSignals } from "./render-due.ts";

const platform = await startPlatform();
const { ctx } = platform.server;
const FREE = { pricing: { model_use: "flat:0" } };
const TRAINING = ["training", "fine_tuning", "commercial"];
const RESERVED = "train-ai=n, ai-use=n";

/** A host of works of its own, so that tests do not see each other's. */
const newHost = (): string => `${uniqueId("h")}.example`;

async function rendered(): Promise<void> {
  await renderDueSignals(ctx, new AbortController().signal);
}

async function textAt(path: string): Promise<string> {
  return expectStatus(await platform.anonymous.get(path), 200).text;
}

/** A dataset of works at a host, on one consent for all of them. */
async function offer(host: string, names: readonly string[], members: JsonObject = {}, consent: JsonObject = {}) {
  const creator = await enrolCreator(platform);
  const scope = members["scope"] ?? TRAINING;
  const works: string[] = [];
  for (const name of names)
    works.push(await registerWork(platform, creator.creatorId, { canonical_url: `https://${host}${name}` }));
  const given = await giveConsent(creator, { scope: TRAINING, ...consent });
  const { dataset_id } = await publishDataset(platform, works, { scope, ...members });
  await rendered();
  return { creator, works, consent: given, datasetId: String(dataset_id) };
}

/** What is said of a path by the longest rule that matches it, as draft-ietf-aipref-attach-05 has crawlers read it. */
function usageOf(robots: string, path: string): string | undefined {
  const rules = [...robots.matchAll(/^Content-Usage:\s*(?:(\/\S*)\s+)?(\S.*)$/gm)].map(
    ([, pattern = "/", usage = ""]) => ({
      usage,
      score: specificity(pattern, path),
    }),
  );
  return rules.filter(({ score }) => score >= 0).toSorted((left, right) => right.score - left.score)[0]?.usage;
}

async function usageAt(host: string, path: string): Promise<string | undefined> {
  return usageOf(await textAt(`/rights/${host}/robots.txt`), path);
}

describe("robots.txt", () => {
  test("reserves everything at our own host from the first boot on, and says where licenses are to be had", async () => {
    const answer = expectStatus(await platform.anonymous.get("/robots.txt"), 200);
    expect(answer.headers.get("content-type")).toBe("text/plain; charset=utf-8");
    expect(answer.text).toContain(`License: ${platform.origin}/license.xml\n`);
    expect(answer.text).toContain("Content-Signal: ai-train=no, ai-input=no\n");
    expect(usageOf(answer.text, "/anything")).toBe(RESERVED);
    expect(answer.text).not.toContain("search");
    const robots = parseRobots(`${platform.origin}/robots.txt`, answer.text);
    expect(robots.isAllowed(`${platform.origin}/anything`, "GPTBot")).toBe(true);
  });

  test("keeps what is offered for money reserved, so that nobody takes the offer for a gift", async () => {
    const host = newHost();
    await offer(host, ["/1"]);
    expect(await usageAt(host, "/1")).toBe(RESERVED);
    expect(await textAt(`/rights/${host}/license.xml`)).toContain(`https://${host}/1$`);
  });

  test("opens what is offered for nothing, at its own address and at no other", async () => {
    const host = newHost();
    await offer(host, ["/works/1", "/watch?v=*&t=$"], FREE);
    for (const path of ["/works/1", "/watch?v=*&t=$"]) expect(await usageAt(host, path)).toBe("train-ai=y, ai-use=n");
    for (const path of ["/works/10", "/works/1/notes", "/works/", "/watch?v=anything&t=$", "/"])
      expect(await usageAt(host, path)).toBe(RESERVED);
  });

  test.each([
    ["training without fine-tuning", { scope: ["training", "commercial"] }, {}],
    ["no money to be made", { scope: ["training", "fine_tuning"] }, {}],
    ["something prohibited", {}, { prohibitions: ["voice_clone"] }],
    ["named marketplaces alone", {}, { audience: ["mkt_some"] }],
  ])("opens nothing with %s, since a preference knows no conditions", async (_name, members, consent) => {
    const host = newHost();
    await offer(host, ["/1"], { ...FREE, ...members }, consent);
    expect(await usageAt(host, "/1")).toBe(RESERVED);
  });

  test("is a group that a platform can put into its own, and that leaves its rules alone", async () => {
    const host = newHost();
    await offer(host, ["/1"], FREE);
    const own = `User-agent: BadBot\nDisallow: /\n\nUser-agent: *\nDisallow: /private/\n\n`;
    const robots = parseRobots(`https://${host}/robots.txt`, own + (await textAt(`/rights/${host}/robots.txt`)));
    expect(robots.isAllowed(`https://${host}/1`, "GPTBot")).toBe(true);
    expect(robots.isAllowed(`https://${host}/private/1`, "GPTBot")).toBe(false);
    expect(robots.isAllowed(`https://${host}/1`, "BadBot")).toBe(false);
  });
});

describe("what was open is reserved by the time the refusal is answered", () => {
  test.each<[string, (given: Awaited<ReturnType<typeof offer>>) => Promise<unknown>]>([
    ["a revocation", ({ creator, consent }) => creator.caller.post(`/api/v1/consents/${consent.jti}/revoke`, {})],
    [
      "a withdrawn work",
      ({ creator, works }) =>
        creator.caller.post(`/api/v1/creators/${creator.creatorId}/revocations`, { content_id: works[0] }),
    ],
    [
      "a suspension",
      ({ works }) => platform.operator.post(`/api/v1/content/${works[0]}/suspend`, { reason: "dispute" }),
    ],
    [
      "a suspended dataset",
      ({ datasetId }) => platform.operator.post(`/api/v1/datasets/${datasetId}/suspend`, { reason: "dispute" }),
    ],
    [
      "a withdrawn dataset",
      ({ datasetId }) => platform.operator.post(`/api/v1/datasets/${datasetId}/withdraw`, { reason: "over" }),
    ],
  ])("after %s", async (_name, takeBack) => {
    const host = newHost();
    const given = await offer(host, ["/1"], FREE);
    const path = `/rights/${host}/robots.txt`;
    const before = await platform.anonymous.get(path);
    expect(usageOf(before.text, "/1")).toBe("train-ai=y, ai-use=n");
    expect(await takeBack(given)).toMatchObject({ status: 200 });
    const after = await platform.anonymous.get(path, { "if-none-match": before.headers.get("etag") ?? "" });
    expect([after.status, usageOf(after.text, "/1")]).toEqual([200, RESERVED]);
    expect(after.headers.get("cache-control")).toBe("public, max-age=15");
    await rendered();
    expect(usageOf(await textAt(path), "/1")).toBe(RESERVED);
    expect(await textAt(`/rights/${host}/license.xml`)).not.toContain("/1$");
  });

  test("and what is resumed is open again, while works beside it stayed open", async () => {
    const host = newHost();
    const { works } = await offer(host, ["/1", "/2"], FREE);
    expectStatus(await platform.operator.post(`/api/v1/content/${works[0]}/suspend`, { reason: "dispute" }), 200);
    expect([await usageAt(host, "/1"), await usageAt(host, "/2")]).toEqual([RESERVED, "train-ai=y, ai-use=n"]);
    expectStatus(await platform.operator.post(`/api/v1/content/${works[0]}/resume`, { reason: "settled" }), 200);
    expect(await usageAt(host, "/1")).toBe("train-ai=y, ai-use=n");
  });

  test("and a version that costs something closes what was open", async () => {
    const host = newHost();
    const { works, datasetId } = await offer(host, ["/1"], FREE);
    await publishDataset(platform, works, {
      dataset_id: datasetId,
      scope: TRAINING,
      pricing: { model_use: "flat:10" },
    });
    await rendered();
    expect(await usageAt(host, "/1")).toBe(RESERVED);
    expect(await textAt(`/rsl/datasets/${datasetId}.xml`)).toContain('<amount currency="USD">10</amount>');
  });
});

describe("tdmrep.json", () => {
  test("reserves everything, and names the policy of each work that may be mined for a license", async () => {
    const host = newHost();
    const { datasetId, creator, consent } = await offer(host, ["/1", "/2?a=*"]);
    const policy = `${platform.origin}/tdm/datasets/${datasetId}.json`;
    const { body, headers } = expectStatus(await platform.anonymous.get(`/rights/${host}/tdmrep.json`), 200);
    expect(headers.get("content-type")).toBe("application/json");
    expect(body).toEqual([
      { location: "/1$", "tdm-reservation": 1, "tdm-policy": policy },
      { location: "/2?a=%2A$", "tdm-reservation": 1, "tdm-policy": policy },
      { location: "/", "tdm-reservation": 1, "tdm-policy": `${platform.origin}/tdm/policy.json` },
    ]);
    const own = expectStatus(await platform.anonymous.get("/.well-known/tdmrep.json"), 200).body;
    expect(own).toEqual([body[2]]);
    expectStatus(await creator.caller.post(`/api/v1/consents/${consent.jti}/revoke`, {}), 200);
    await rendered();
    expect((await platform.anonymous.get(`/rights/${host}/tdmrep.json`)).body).toEqual([body[2]]);
  });

  test.each([
    ["for money", {}, [{ action: "obtainConsent" }, { action: "compensate" }], undefined],
    ["for nothing", FREE, [{ action: "obtainConsent" }], undefined],
    [
      "for research",
      { scope: ["training"] },
      [{ action: "obtainConsent" }, { action: "compensate" }],
      [{ leftOperand: "purpose", operator: "eq", rightOperand: "tdm:research" }],
    ],
  ])("has a policy of ODRL that permits mining %s, with what it asks for", async (_name, members, duty, constraint) => {
    const { datasetId } = await offer(newHost(), ["/1"], members);
    const { body, headers } = expectStatus(await platform.anonymous.get(`/tdm/datasets/${datasetId}.json`), 200);
    expect(headers.get("content-type")).toBe("application/ld+json");
    expect(body).toMatchObject({
      "@context": ["http://www.w3.org/ns/odrl.jsonld", "http://www.w3.org/ns/tdmrep.jsonld"],
      "@type": "Offer",
      profile: "http://www.w3.org/ns/tdmrep",
      uid: `${platform.origin}/tdm/datasets/${datasetId}.json`,
      permission: [{ target: `${platform.origin}/datasets/${datasetId}/manifest.json`, action: "tdm:mine", duty }],
    });
    expect(body.permission[0].constraint).toEqual(constraint);
    expect(body.prohibition).toBeUndefined();
  });

  test("has a policy that prohibits what is not offered any more, or never was for mining", async () => {
    const { datasetId } = await offer(newHost(), ["/1"]);
    expectStatus(await platform.operator.post(`/api/v1/datasets/${datasetId}/withdraw`, { reason: "over" }), 200);
    const search = await offer(newHost(), ["/1"], { scope: ["search"] }, { scope: ["search"] });
    for (const id of [datasetId, search.datasetId]) {
      await rendered();
      const { body } = await platform.anonymous.get(`/tdm/datasets/${id}.json`);
      expect([body.permission, body.prohibition?.[0].action]).toEqual([undefined, "tdm:mine"]);
    }
  });
});

describe("RSL", () => {
  test("is well-formed XML of the namespace, with a license for each work, whatever its address holds", async () => {
    const host = newHost();
    const { datasetId } = await offer(host, [`/a?b=<&c="d"'`, "/é", "/plain"]);
    const { text, headers } = expectStatus(await platform.anonymous.get(`/rsl/datasets/${datasetId}.xml`), 200);
    expect(headers.get("content-type")).toBe("application/rsl+xml");
    expect(headers.get("cache-tag")).toContain("licet-dataset-");
    expect(XMLValidator.validate(text)).toBe(true);
    const rules = readRsl(text);
    expect(rules.map(({ url, server, usages }) => [url, server, usages])).toEqual(
      ["/a?b=%3C&c=%22d%22%27$", "/%C3%A9$", "/plain$"].map((path) => [
        `https://${host}${path}`,
        `${platform.origin}/olp`,
        ["ai-train"],
      ]),
    );
    expect(text).toContain(`<terms>${platform.origin}/terms/paid_training/1.0</terms>`);
  });

  test.each([
    ["flat:12.5", { "@type": "purchase", amount: { "@currency": "USD", "#text": "12.5" } }],
    ["per-item:0.000001", { "@type": "training", amount: { "@currency": "USD", "#text": "0.000001" } }],
    [
      "per-token:0.0001",
      { "@type": "training", "licet:price": expect.objectContaining({ "@unit": "per-token", "#text": "0.0001" }) },
    ],
  ])("says the price %s as RSL can", async (model_use, payment) => {
    const { datasetId } = await offer(newHost(), ["/1"], { pricing: { model_use } });
    const parser = new XMLParser({ ignoreAttributes: false, attributeNamePrefix: "@", parseTagValue: false });
    const { rsl } = parser.parse(await textAt(`/rsl/datasets/${datasetId}.xml`));
    const custom = `${platform.origin}/api/v1/datasets/${datasetId}/licenses`;
    expect(rsl.content.license.payment).toEqual({ ...payment, custom });
  });

  test("offers of each kind of works what is granted for it, and nothing that is granted for another", async () => {
    const host = newHost();
    const scope = ["training_image", "search_text", "commercial"];
    const creator = await enrolCreator(platform);
    const kinds = [
      ["/picture", "image/png"],
      ["/text", "text/plain"],
      ["/film", "video/mp4"],
    ] as const;
    const works: string[] = [];
    for (const [name, mime_type] of kinds)
      works.push(
        await registerWork(platform, creator.creatorId, { canonical_url: `https://${host}${name}`, mime_type }),
      );
    await giveConsent(creator, { scope });
    const { dataset_id } = await publishDataset(platform, works.slice(0, 2), { scope });
    await rendered();
    const rules = readRsl(await textAt(`/rsl/datasets/${dataset_id}.xml`));
    expect(rules.map(({ url, usages }) => [url, usages])).toEqual([
      [`https://${host}/picture$`, ["ai-train"]],
      [`https://${host}/text$`, ["search"]],
    ]);
    const { body } = expectStatus(await platform.anonymous.get(`/rights/${host}/tdmrep.json`), 200);
    expect(body.map((rule: { readonly location: string }) => rule.location)).toEqual(["/picture$", "/"]);
  });

  test.each([
    ["for one marketplace", { audience: ["mkt_some"] }],
    ["with a prohibition", { prohibitions: ["voice_clone"] }],
  ])("calls nothing free that was given %s, as robots.txt does", async (_name, condition) => {
    const host = newHost();
    const { datasetId, creator } = await offer(host, ["/conditional"], FREE, condition);
    const work = await registerWork(platform, creator.creatorId, { canonical_url: `https://${host}/free` });
    await giveConsent(creator, { subject: `content:${work}`, scope: TRAINING });
    const { dataset_id: free } = await publishDataset(platform, [work], { scope: TRAINING, ...FREE });
    await rendered();
    for (const text of [await textAt(`/rsl/datasets/${datasetId}.xml`), await textAt(`/rights/${host}/license.xml`)])
      expect(text).not.toContain(`${host}/conditional`);
    expect(await textAt(`/rsl/datasets/${datasetId}.xml`)).toContain('<prohibits type="usage">ai-all</prohibits>');
    expect(await textAt(`/rsl/datasets/${free}.xml`)).toContain('<payment type="free"/>');
  });

  test("names an address once, with the license of every dataset it is in", async () => {
    const host = newHost();
    const { works, datasetId } = await offer(host, ["/1"]);
    const second = await publishDataset(platform, works, { scope: ["training"], pricing: { model_use: "flat:3" } });
    await rendered();
    const text = await textAt(`/rights/${host}/license.xml`);
    expect(readRsl(text)).toHaveLength(1);
    for (const id of [datasetId, second.dataset_id])
      expect(text).toContain(`<legal type="proof">${platform.origin}/datasets/${id}/manifest.json</legal>`);
  });

  test("says that nothing is permitted of a dataset that is over, or that offers what RSL has no word for", async () => {
    const { datasetId } = await offer(newHost(), ["/1"]);
    expectStatus(await platform.operator.post(`/api/v1/datasets/${datasetId}/withdraw`, { reason: "over" }), 200);
    const other = await offer(newHost(), ["/1"], { scope: ["evaluation"] }, { scope: ["evaluation"] });
    for (const id of [datasetId, other.datasetId]) {
      await rendered();
      const text = await textAt(`/rsl/datasets/${id}.xml`);
      expect(text).toContain('<prohibits type="usage">ai-all</prohibits>');
      expect(text).not.toContain("<permits");
    }
  });

  test("names as many works as its limit allows, and every dataset in the catalogue", async () => {
    const creator = await enrolCreator(platform);
    const works = [
      ...(await registerWorks(platform, creator.creatorId, 1_000)),
      ...(await registerWorks(platform, creator.creatorId, 1)),
    ];
    await giveConsent(creator);
    const { dataset_id } = await publishDataset(platform, works);
    const small = await offer(newHost(), ["/only"]);
    expect(readRsl(await textAt(`/rsl/datasets/${dataset_id}.xml`))).toHaveLength(1_000);
    const catalogue = await textAt("/rsl/catalogue.xml");
    expect(readRsl(catalogue).length).toBeLessThanOrEqual(1_000);
    for (const id of [dataset_id, small.datasetId]) expect(catalogue).toContain(`/datasets/${id}/manifest.json`);
  }, 240_000);
});

test("the sweep renders what was marked by itself", async () => {
  const host = newHost();
  const creator = await enrolCreator(platform);
  const work = await registerWork(platform, creator.creatorId, { canonical_url: `https://${host}/1` });
  await giveConsent(creator, { scope: TRAINING });
  await publishDataset(platform, [work], { scope: TRAINING, ...FREE });
  await expect
    .poll(async () => (await platform.anonymous.get(`/rights/${host}/robots.txt`)).text, { timeout: 20_000 })
    .toContain("train-ai=y");
});
