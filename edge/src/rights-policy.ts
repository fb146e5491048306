/** What the platform says to everybody about its site; a license says otherwise to whoever holds it. */
export interface RightsPolicy {
  /** Training and fine-tuning of models. */
  readonly train: boolean;
  /** Use as input of a model, such as for answers. */
  readonly input: boolean;
  readonly search: boolean;
}

/**
 * The one policy in the words of each convention: AIPREF (`Content-Usage`), Cloudflare
 * (`Content-Signal`) and TDMRep (`tdm-reservation`), with the license beside it (RSL). Training is
 * text and data mining, so that reserving one reserves the other.
 */
export function rightsHeaders(policy: RightsPolicy, licenseUrl: string): readonly (readonly [string, string])[] {
  const letter = (allowed: boolean): string => (allowed ? "y" : "n");
  const word = (allowed: boolean): string => (allowed ? "yes" : "no");
  return [
    ["content-usage", `train-ai=${letter(policy.train)}, search=${letter(policy.search)}`],
    ["content-signal", `search=${word(policy.search)}, ai-input=${word(policy.input)}, ai-train=${word(policy.train)}`],
    ["tdm-reservation", policy.train ? "0" : "1"],
    ["link", licenseLink(licenseUrl)],
  ];
}

export function licenseLink(licenseUrl: string): string {
  return `<${licenseUrl}>; rel="license"; type="application/rsl+xml"`;
}
