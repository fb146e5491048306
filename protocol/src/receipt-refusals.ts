import { row } from "./refusal-row.ts";

/** Why a usage receipt is refused. */
export const RECEIPT_REFUSALS = {
  receipt_invalid: row(422, "The receipt is not well formed", "Send every member docs/wire-formats.md lists."),
  receipt_key_unknown: row(401, "The receipt's key is not registered", "Register the public key, then sign with it."),
  receipt_fingerprint_wrong: row(
    422,
    "The receipt names another dataset fingerprint",
    "Use items_root of the version that was trained on.",
  ),
  receipt_license_unknown: row(
    422,
    "The receipt names a license that was never issued",
    "Report use under the license_id that the license answered.",
  ),
  receipt_license_not_yours: row(
    403,
    "The receipt names another marketplace's license",
    "Report use under your own license.",
  ),
  receipt_dataset_wrong: row(
    422,
    "The receipt names another dataset than its license",
    "Report the use of each dataset under a license of that dataset.",
  ),
  receipt_model_wrong: row(
    422,
    "The receipt names another model than its license",
    "Report each model under its own license, with the model_id and fingerprint it was asked for with.",
  ),
  receipt_version_wrong: row(
    422,
    "The license does not hold for this version",
    "Name the version the license was issued for, or a later one.",
  ),
  receipt_unit_wrong: row(
    422,
    "The receipt counts in another unit than the license charges by",
    "Count tokens per token, items per item, images per image and seconds per minute.",
  ),
  receipt_currency_wrong: row(
    422,
    "The receipt is in another currency than its license",
    "Leave currency out, or name the license's.",
  ),
  receipt_period_overlaps: row(
    409,
    "The receipt's period overlaps another of the same license",
    "Report each stretch of time once; a period may begin in the second in which the one before it ends.",
  ),
  receipt_amount_too_large: row(
    422,
    "The receipt would charge more than an amount can be",
    "Correct the count: the uses under one license cost at most 10^30 micro-units together.",
  ),
  receipt_nonce_reused: row(409, "The receipt's nonce was used before", "Use a new nonce in each receipt."),
  receipt_id_reused: row(
    409,
    "The receipt's id was used for other bytes",
    "Use a new receipt_id, or send the same bytes again.",
  ),
  receipt_period_invalid: row(
    422,
    "The receipt's period cannot be",
    "Report a period that has ended, begins no later than it ends and not before the version was published.",
  ),
} as const;
