import { row } from "./refusal-row.ts";

/** Why an edge keeps a work back: the rows of the table of refusals about addresses, credentials and facts. */
export const EDGE_REFUSALS = {
  content_url_invalid: row(
    400,
    "The URL cannot be the address of a work",
    "Use an absolute http or https URL without user name, backslashes and control characters, of at most 2048 characters.",
  ),
  credentials_malformed: row(
    400,
    "The credentials cannot be read",
    "Send one Authorization header, License and one token, and signatures as RFC 9421 writes them.",
  ),
  credentials_contradictory: row(
    400,
    "The credentials contradict each other",
    "Send one license, and proofs by one key, in each request.",
  ),
  agent_signature_invalid: row(
    401,
    "The agent's signature does not hold",
    "Sign each request for this host as the Web Bot Auth profile of RFC 9421 says, with a key that your directory lists.",
  ),
  agent_certificate_invalid: row(
    401,
    "The agent's certificate does not hold",
    "Present a client certificate that verifies and is not revoked.",
  ),
  signature_replayed: row(
    429,
    "The signature or proof was used before",
    "Make a new signature, with a nonce of its own, for each request.",
  ),
  facts_unavailable: row(
    503,
    "It cannot be told now whether this may be used",
    "Use nothing; try again after Retry-After seconds.",
  ),
  license_invalid: row(
    401,
    "The license does not hold",
    "Get a fresh token of your license for this origin, and show a proof by the key it is bound to; errors says what is wrong.",
  ),
  license_not_for_work: row(
    403,
    "The license is not for this work",
    "Ask for a license of a dataset that holds it; the Link header with rel=license says where.",
  ),
  license_scope_insufficient: row(
    403,
    "The license does not grant this use of the work",
    "Ask for a license whose scope names the use; the Link header with rel=license says where.",
  ),
  license_required: row(
    402,
    "AI use of this work needs a license",
    "Get one where the Link header with rel=license leads, and send Authorization: License with its token.",
  ),
} as const;
