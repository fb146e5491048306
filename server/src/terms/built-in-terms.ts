/** The terms a fresh server knows. Operators publish their own beside them. */
export interface TermsText {
  readonly license: string;
  readonly language: string;
  readonly title: string;
  readonly body: string;
  /** What the text promises beyond payment; empty when nothing. */
  readonly promises: readonly TermsPromise[];
}

/** What terms can promise that the platform then does by itself: a case for each model that cannot unlearn a work. */
export type TermsPromise = "remediation";

export const DEFAULT_LICENSE = "paid_training:1.0";
/** The same with a promise: a case with each marketplace whose model has already learned. */
const REMEDIED_LICENSE = "paid_training:1.1";
export const DEFAULT_LANGUAGE = "en";

export const BUILT_IN_TERMS: readonly TermsText[] = [
  {
    license: DEFAULT_LICENSE,
    language: "en",
    title: "Paid training 1.0",
    promises: [],
    body: `1. You keep all rights to your work. You allow only what is listed above, nothing more.
2. The platform offers your work in datasets to marketplaces that accept these terms. Each use is reported with a signed receipt that you can read.
3. You are paid for each reported use: your share of the price, never less than the price named above would give.
4. Nobody may pass your work itself on, or publish it again.
5. You can take this back at any time, at once and without giving a reason. From then on nobody may train with your work or hand it out. A training run that is under way must stop.
6. A model that has already learned from your work cannot unlearn it. Where the law or these terms promise a remedy, the platform and the marketplace will work one out with you.
7. This ends by itself on the day named above.`,
  },
  {
    license: DEFAULT_LICENSE,
    language: "de",
    title: "Bezahltes Training 1.0",
    promises: [],
    body: `1. Alle Rechte an Ihrem Werk bleiben bei Ihnen. Sie erlauben nur, was oben steht, und nichts darüber hinaus.
2. Die Plattform bietet Ihr Werk in Datensätzen solchen Marktplätzen an, die diese Bedingungen annehmen. Jede Nutzung wird mit einem unterschriebenen Beleg gemeldet, den Sie lesen können.
3. Sie werden für jede gemeldete Nutzung bezahlt: mit Ihrem Anteil am Preis, und nie geringer, als der oben genannte Preis ergäbe.
4. Niemand darf Ihr Werk selbst weitergeben oder erneut veröffentlichen.
5. Sie können dies jederzeit, sofort und ohne Angabe von Gründen zurücknehmen. Von da an darf niemand mit Ihrem Werk trainieren oder es weitergeben. Ein laufendes Training muss anhalten.
6. Ein Modell, das schon aus Ihrem Werk gelernt hat, kann es nicht verlernen. Wo das Gesetz oder diese Bedingungen Abhilfe versprechen, suchen Plattform und Marktplatz sie mit Ihnen.
7. Dies endet von selbst an dem oben genannten Tag.`,
  },
  {
    license: REMEDIED_LICENSE,
    language: "en",
    title: "Paid training 1.1",
    promises: ["remediation"],
    body: `1. You keep all rights to your work. You allow only what is listed above, nothing more.
2. The platform offers your work in datasets to marketplaces that accept these terms. Each use is reported with a signed receipt that you can read.
3. You are paid for each reported use: your share of the price, never less than the price named above would give.
4. Nobody may pass your work itself on, or publish it again.
5. You can take this back at any time, at once and without giving a reason. From then on nobody may train with your work or hand it out. A training run that is under way must stop.
6. A model that has already learned from your work cannot unlearn it. When you take this back, the platform opens a case with each marketplace that reported training such a model. There the marketplace answers you and may offer a compensation. You accept or decline it; what you accept is added to what you are paid.
7. This ends by itself on the day named above.`,
  },
  {
    license: REMEDIED_LICENSE,
    language: "de",
    title: "Bezahltes Training 1.1",
    promises: ["remediation"],
    body: `1. Alle Rechte an Ihrem Werk bleiben bei Ihnen. Sie erlauben nur, was oben steht, und nichts darüber hinaus.
2. Die Plattform bietet Ihr Werk in Datensätzen solchen Marktplätzen an, die diese Bedingungen annehmen. Jede Nutzung wird mit einem unterschriebenen Beleg gemeldet, den Sie lesen können.
3. Sie werden für jede gemeldete Nutzung bezahlt: mit Ihrem Anteil am Preis, und nie geringer, als der oben genannte Preis ergäbe.
4. Niemand darf Ihr Werk selbst weitergeben oder erneut veröffentlichen.
5. Sie können dies jederzeit, sofort und ohne Angabe von Gründen zurücknehmen. Von da an darf niemand mit Ihrem Werk trainieren oder es weitergeben. Ein laufendes Training muss anhalten.
6. Ein Modell, das schon aus Ihrem Werk gelernt hat, kann es nicht verlernen. Nehmen Sie dies zurück, so eröffnet die Plattform einen Fall mit jedem Marktplatz, der das Training eines solchen Modells gemeldet hat. Dort antwortet Ihnen der Marktplatz und kann einen Ausgleich anbieten. Sie nehmen ihn an oder lehnen ihn ab; was Sie annehmen, kommt zu Ihrer Bezahlung hinzu.
7. Dies endet von selbst an dem oben genannten Tag.`,
  },
];
