// How the search of the site ranks: headings of the guide, then public names, then text, and last the internal modules.
// Sphinx reads these numbers in place of its own, and declares the name again with var.
var Scorer = {
  score: ([docname, title, anchor, descr, score, file, kind]) => {
    // A page of an internal module has two dots in its name, or more.
    if (/^docs\/modules\/\w+\.\w+\./.test(docname)) return score - 100;
    return docname.startsWith("docs/modules/") && kind === "text" ? score - 3 : score;
  },
  title: 15,
  partialTitle: 7,
  objNameMatch: 12,
  objPartialMatch: 1,
  objPrio: {0: -15, 1: 0, 2: -5},
  objPrioDefault: 0,
  term: 5,
  partialTerm: 2,
};
