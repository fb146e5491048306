/** The terms a fresh server knows. Operators publish their own beside them. */
export interface TermsText {
  readonly license: string;
  readonly language: string;
  readonly title: string;
  readonly body: string;
}

export const DEFAULT_LICENSE = "paid_training:1.0";
export const DEFAULT_LANGUAGE = "en";

export const BUILT_IN_TERMS: readonly TermsText[] = [
  {
    license: DEFAULT_LICENSE,
    language: "en",
    title: "Paid training 1.0",
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
    body: `1. Alle Rechte an Ihrem Werk bleiben bei Ihnen. Sie erlauben nur, was oben steht, und nichts darüber hinaus.
2. Die Plattform bietet Ihr Werk in Datensätzen solchen Marktplätzen an, die diese Bedingungen annehmen. Jede Nutzung wird mit einem unterschriebenen Beleg gemeldet, den Sie lesen können.
3. Sie werden für jede gemeldete Nutzung bezahlt: mit Ihrem Anteil am Preis, und nie geringer, als der oben genannte Preis ergäbe.
4. Niemand darf Ihr Werk selbst weitergeben oder erneut veröffentlichen.
5. Sie können dies jederzeit, sofort und ohne Angabe von Gründen zurücknehmen. Von da an darf niemand mit Ihrem Werk trainieren oder es weitergeben. Ein laufendes Training muss anhalten.
6. Ein Modell, das schon aus Ihrem Werk gelernt hat, kann es nicht verlernen. Wo das Gesetz oder diese Bedingungen Abhilfe versprechen, suchen Plattform und Marktplatz sie mit Ihnen.
7. Dies endet von selbst an dem oben genannten Tag.`,
  },
];
