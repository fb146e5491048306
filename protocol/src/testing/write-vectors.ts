import { writeConsentAcceptanceVectors } from "./consent-acceptance-vectors.ts";
import { writeConsentVectors } from "./consent-vectors.ts";
import { writeDatasetVectors } from "./dataset-vectors.ts";
import { writeDocumentVectors } from "./document-vectors.ts";
import { writeEdgeVectors } from "./edge-vectors.ts";
import { writeJwsVectors } from "./jws-vectors.ts";
import { writeLicenseVectors } from "./license-vectors.ts";
import { writeModelListVectors } from "./model-list-vectors.ts";
import { writePropagationVectors } from "./propagation-vectors.ts";
import { writeReceiptVectors } from "./receipt-vectors.ts";
import { writeStatusListVectors } from "./status-list-vectors.ts";
import { writeWebhookKeyVectors } from "./webhook-key-vectors.ts";
import { writeWebhookVectors } from "./webhook-vectors.ts";

/* Writes the vectors that carry signatures. The others in protocol/vectors are written by hand. */
writeJwsVectors();
writeConsentVectors();
writeConsentAcceptanceVectors();
writeDocumentVectors();
writeDatasetVectors();
writeStatusListVectors();
writeWebhookKeyVectors();
writeWebhookVectors();
writePropagationVectors();
writeReceiptVectors();
writeLicenseVectors();
writeModelListVectors();
writeEdgeVectors();
