import { describe, expect, test } from "vitest";
import { MAX_LICENSE_LENGTH, readLicenseXml } from "./read-license-xml.ts";

const LICENSE =
  '<license><permits type="usage">ai-train search</permits><permits type="user">commercial</permits>' +
  '<payment type="training"><custom>https://x.example/a?b=1&amp;c=2</custom><amount currency="USD">0.5</amount></payment>' +
  '<legal type="proof">https://x.example/proof</legal></license>';
const ASKED = {
  usages: ["ai-train", "search"],
  users: ["commercial"],
  prohibited: [],
  payment: "training",
  amount: { currency: "USD", value: "0.5" },
  proofs: ["https://x.example/proof"],
};

describe("a license of RSL", () => {
  test.each([
    ["as it is in a document", LICENSE],
    ["with its namespace", LICENSE.replace("<license>", '<license xmlns="https://rslstandard.org/rsl">')],
    [
      "with a prefix",
      LICENSE.replaceAll(/<(\/?)(\w)/g, "<$1rsl:$2").replace(
        "<rsl:license>",
        '<rsl:license xmlns:rsl="https://rslstandard.org/rsl">',
      ),
    ],
    ["with other quotes and spaces", LICENSE.replaceAll('"', "'").replaceAll("><", " >\n <").replaceAll(" >", ">")],
    [
      "with comments, character data and references",
      `<!-- a -->${LICENSE.replace("search", "<![CDATA[sea]]>&#114;ch<!--b-->")}`,
    ],
    [
      "with elements of others",
      LICENSE.replace("</payment>", '<x:y xmlns:x="urn:x">1</x:y></payment><z:z xmlns:z="urn:z"/>'),
    ],
  ])("is read %s", (_name, xml) => {
    expect(readLicenseXml(xml)).toEqual({ ok: true, value: ASKED });
  });

  test("is free where it says nothing of payment, and says what it leaves out", () => {
    expect(readLicenseXml('<license><prohibits type="usage">ai-all</prohibits></license>')).toEqual({
      ok: true,
      value: { usages: [], users: undefined, prohibited: ["ai-all"], payment: "free", amount: undefined, proofs: [] },
    });
  });

  test.each([
    ["", "nothing"],
    ["plain", "text"],
    [`${LICENSE}${LICENSE}`, "two"],
    [`<rsl>${LICENSE}</rsl>`, "another element"],
    [LICENSE.replace("<license>", '<license xmlns="urn:other">'), "another namespace"],
    [LICENSE.replace("</license>", ""), "an open element"],
    [LICENSE.replace("</permits>", "</permit>"), "a wrong end"],
    [LICENSE.replace("permits", "permit").replace("</permits>", "</permit>"), "an unknown element of RSL"],
    [LICENSE.replace("ai-train search", "ai-train &amp search"), "a stray ampersand"],
    [LICENSE.replace("search", "&unknown;"), "an unknown entity"],
    [LICENSE.replace("search", "&#xd800;"), "half a character"],
    [`<!DOCTYPE license [<!ENTITY a "b">]>${LICENSE}`, "a document type"],
    [`<?xml-stylesheet href="a"?>${LICENSE}`, "a processing instruction"],
    [LICENSE.replace('type="usage"', 'type="usage" type="user"'), "an attribute twice"],
    [LICENSE.replace('type="user"', 'type="usage"'), "one type twice"],
    [LICENSE.replace("</license>", '<permits type="geo">EU</permits></license>'), "a region"],
    [LICENSE.replace("</license>", '<reporting type="audit" profile="urn:x"/></license>'), "a report"],
    [LICENSE.replace("</license>", "<payment/></license>"), "two payments"],
    ["<license>".repeat(20) + "</license>".repeat(20), "too many levels"],
    [`<license>${"<legal/>".repeat(500)}</license>`, "too many elements"],
    [`<license>${" ".repeat(MAX_LICENSE_LENGTH)}</license>`, "too many characters"],
  ])("is none: %# %s", (xml) => {
    expect(readLicenseXml(xml)).toMatchObject({ ok: false, refusal: { code: "input_invalid" } });
  });

  test("is read in no more than a moment, however it is made", () => {
    for (const xml of [
      `<license ${" ".repeat(16_000)}`,
      `<license ${'a="b" '.repeat(2_500)}`,
      "<!--".repeat(4_000),
      "<".repeat(16_000),
      `<license>${"&".repeat(16_000)}</license>`,
      "<![CDATA[".repeat(1_700),
    ])
      expect(readLicenseXml(xml).ok).toBe(false);
  });
});
