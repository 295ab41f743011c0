// The search for messages: the same as in _search.py, which explains it.
const squeezed = (text) => text.toLowerCase().replace(/[\s"]+/g, "");
const isDigit = (letter) => letter >= "0" && letter <= "9" && letter.length === 1;
const holds = (text, word) => { // other than as a part of a longer number
  for (let at = text.indexOf(word); at >= 0; at = text.indexOf(word, at + 1)) {
    const before = text.charAt(at - 1), after = text.charAt(at + word.length);
    if (!(isDigit(before) && isDigit(word.charAt(0))) && !(isDigit(after) && isDigit(word.charAt(word.length - 1)))) {
      return true;
    }
    if (at >= text.length) return false;
  }
  return false;
};
const finds = (word, { type, from, to, body }) => {
  const colon = word.indexOf(":"), key = word.slice(0, Math.max(colon, 0)), rest = word.slice(colon + 1);
  if (key === "type" && holds(type, rest)) return true;
  if ((key === "from" || key === "node") && rest === from) return true;
  if ((key === "to" || key === "node") && rest === to) return true;
  return word === from || word === to || holds(type, word) || holds(body, word);
};
const compileSearch = (text) => { // the result takes messages whose strings are squeezed
  const words = text.split(/\s+/).filter(Boolean).map(squeezed);
  return (message) => words.every((word) => finds(word, message));
};
