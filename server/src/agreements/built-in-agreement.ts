/** The name of the agreement that a dataset's policy asks for unless it names another. */
export const DEFAULT_AGREEMENT = "marketplace";

/** The agreement a fresh server knows. The operator publishes newer versions, and others, beside it. */
export const BUILT_IN_AGREEMENT = {
  agreement: "marketplace:1.0",
  title: "Marketplace agreement 1.0",
  text: `1. The platform offers datasets of works whose creators have consented. You use a work only under a license of the dataset, for the model and the uses that the license names.
2. A license holds for its version of the dataset and later ones, less what is withdrawn. Before you use works, and while you do, you ask the platform's documents how they stand, no less often than they say.
3. When a work, a consent, a dataset or a license is revoked, suspended, withdrawn or has expired, you stop using it at once. A training run that is under way stops.
4. You report every use with a signed usage receipt, in the unit of the price, within 24 hours of the end of its period. You keep your signing keys to yourself and tell the platform at once when one may be lost.
5. You owe the price of the license for all that you report, and for use that you should have reported. Use beyond the spend cap of a license is owed as well and ends its renewal.
6. You do not pass works on, publish them again, or let others use them under your license.
7. Use after a revocation is a breach: it stays owed, and the platform tells the creators and keeps the evidence.
8. A model that has learned from a work cannot unlearn it. Where the works' terms promise a remedy, you work one out with the platform and the creator.
9. Either side may end a license at any time, with notice to the other through the platform. What was owed before stays owed.
10. A newer version of this agreement is accepted before the next license or renewal. Licenses under this version go on until they end.`,
} as const;
