import { row } from "./refusal-row.ts";

/** Why there is no license: the rows of the table of refusals about agreements and licenses. */
export const LICENSE_REFUSALS = {
  agreement_acceptance_invalid: row(
    422,
    "The acceptance is not one of this agreement",
    "Sign the members docs/wire-formats.md lists over the agreement's own text and hash, for this platform.",
  ),
  agreement_not_accepted: row(
    403,
    "The newest agreement is not accepted",
    "Read the agreement that the detail names, sign its acceptance and post it, then ask again.",
  ),
  license_scope_not_granted: row(
    422,
    "No single consent grants the scope for some works",
    "Ask for fewer uses, or for a dataset without the works that errors lists.",
  ),
  license_scope_not_offered: row(
    422,
    "The dataset does not offer this scope",
    "Ask for uses that the dataset's scope names.",
  ),
  license_model_taken: row(
    409,
    "The model is another one's",
    "Name the fingerprint of your own model; only its maker gets a license to train it.",
  ),
  license_term_too_long: row(422, "The term is longer than the policy allows", "Ask for a shorter term."),
  license_requests_full: row(409, "Too many requests wait for a decision", "Wait until some of them are decided."),
  license_request_settled: row(409, "The request was decided before", "Read the request; ask for a new license."),
  license_not_active: row(409, "The license is not in force", "Ask for a new license."),
  license_not_renewable: row(409, "The license is not renewable", "Ask for a new license before this one ends."),
  license_over_cap: row(
    409,
    "The license is over its spend cap",
    "Pay what is owed and ask for a new license with a higher cap.",
  ),
  license_terms_changed: row(
    409,
    "The dataset has another price or other terms by now",
    "Ask for a new license on the present terms.",
  ),
  license_revoked: row(403, "The license was revoked or has ended", "Stop, and ask for a new license."),
  license_audience_wrong: row(
    403,
    "The license token is not for this origin",
    "Ask for a token whose audience names the origin.",
  ),
  license_key_mismatch: row(
    401,
    "The license token is bound to another key",
    "Show, with each use, a proof by the key that cnf.jkt names.",
  ),
  model_list_invalid: row(
    422,
    "The list of models is not one of this marketplace",
    "Serve the members docs/wire-formats.md lists, each model once, signed with a registered receipt key.",
  ),
  remediation_settled: row(409, "The remediation is settled", "Read the case; nothing more can be done in it."),
  remediation_no_offer: row(
    409,
    "There is no such offer to decide about",
    "Read the case, and name the offer that stands in it.",
  ),
  remediation_full: row(409, "The remediation holds as much as it can", "Come to an end: accept, decline or close."),
} as const;
