import { MAX_FEE_BPS } from "@licet/protocol";

/** What an operator says about money. */
export interface MoneyConfig {
  /** The platform's fee, in basis points, of datasets that name none. */
  readonly platformFeeBps: number;
  /** How long after its end a month is closed; undefined means by hand. */
  readonly closeAfterSeconds: number | undefined;
  /** How often licenses, receipts, interactions and ledger are compared; undefined means when asked to. */
  readonly reconcileSeconds: number | undefined;
  /** How long a license, or whoever read a dataset's items, may go without a receipt. */
  readonly unreportedSeconds: number;
  /** How long after a month's end what its pools hold may wait to be shared out. */
  readonly unsplitSeconds: number;
  /** How often the lists of models that marketplaces publish are read; undefined means never. */
  readonly modelListSeconds: number | undefined;
  /** How long a remediation may take until it is overdue. */
  readonly remediationSeconds: number;
  /** How often marketplaces are asked for their receipts; undefined means when somebody says so. */
  readonly receiptPullSeconds: number | undefined;
}

export type ReadNumber = (
  name: string,
  fallback: number,
  range: { readonly min: number; readonly max: number },
) => number;

const MINUTE_SECONDS = 60;
const HOUR_SECONDS = 3_600;
const DAY_SECONDS = 86_400;
/** So that clocks which differ, and charges that are being written, are on one side of a period's end. */
const MIN_CLOSE_HOURS = 1;

export function readMoney(readNumber: ReadNumber): MoneyConfig {
  const hours = readNumber("LICET_CLOSE_AFTER_HOURS", 72, { min: 0, max: 744 });
  const reconcileHours = readNumber("LICET_RECONCILE_HOURS", 24, { min: 0, max: 744 });
  return {
    platformFeeBps: readNumber("LICET_PLATFORM_FEE_BPS", 0, { min: 0, max: MAX_FEE_BPS }),
    modelListSeconds: readNumber("LICET_MODELS_HOURS", 24, { min: 0, max: 8_784 }) * HOUR_SECONDS || undefined,
    remediationSeconds: readNumber("LICET_REMEDIATION_DAYS", 30, { min: 1, max: 3_650 }) * DAY_SECONDS,
    closeAfterSeconds: hours === 0 ? undefined : Math.max(hours, MIN_CLOSE_HOURS) * HOUR_SECONDS,
    reconcileSeconds: reconcileHours === 0 ? undefined : reconcileHours * HOUR_SECONDS,
    unreportedSeconds: readNumber("LICET_UNREPORTED_DAYS", 30, { min: 1, max: 366 }) * DAY_SECONDS,
    unsplitSeconds: readNumber("LICET_UNSPLIT_DAYS", 10, { min: 1, max: 366 }) * DAY_SECONDS,
    receiptPullSeconds:
      readNumber("LICET_RECEIPT_PULL_MINUTES", 60, { min: 0, max: 43_200 }) * MINUTE_SECONDS || undefined,
  };
}
