/** The head of the OpenAPI document. */
export const openApiInfo = {
  openapi: "3.1.0",
  info: {
    title: "Licet",
    version: "0.1.0",
    description: "Consent, provenance, revocation, receipts: a platform's creators' work as AI training data.",
    license: { name: "Apache-2.0", identifier: "Apache-2.0" },
  },
};
