// How the search of the site ranks: headings of the guide, then public names, then text, and last the internal modules.
// Sphinx reads these numbers in place of its own.
const Scorer = {
  // A page of an internal module has two dots in its name, or more.
  score: ([docname, title, anchor, descr, score]) =>
    /^docs\/modules\/\w+\.\w+\./.test(docname) ? score - 100 : score,
  title: 15,
  partialTitle: 7,
  objNameMatch: 12,
  objPartialMatch: 1,
  objPrio: {0: -15, 1: 0, 2: -5},
  objPrioDefault: 0,
  term: 5,
  partialTerm: 2,
};
