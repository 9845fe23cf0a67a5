// The page's elements. Text goes in as text, never as markup: nothing in a document or a file's name can run.

export const find = (id) => document.getElementById(id);

export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.startsWith("aria-") || key === "role" || key === "scope" || key === "colspan") made.setAttribute(key, value);
    else made[key] = value;
  }
  made.append(...children);
  return made;
}

export function say(message, { error = false } = {}) {
  const status = find("status");
  status.textContent = message;
  status.classList.toggle("error", error);
}

export const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;

// A colour for a value of -1 to 1: orange below 0, blue above. Words on it stay readable in both schemes.
export function tint(value) {
  const strength = Math.min(1, Math.abs(value));
  const [red, green, blue] = value < 0 ? [226, 120, 20] : [40, 110, 230];
  return `rgba(${red}, ${green}, ${blue}, ${(strength * (isDark() ? 0.6 : 0.45)).toFixed(3)})`;
}

// Parts of a text: places [start, end) in the characters of Python, which counts code points, as JavaScript does not.
export function parts(text, places, make) {
  const characters = Array.from(text);
  const made = [];
  let at = 0;
  for (const [start, end] of [...places].sort((a, b) => a[0] - b[0])) {
    if (start < at) continue;
    made.push(characters.slice(at, start).join(""), make(characters.slice(start, end).join("")));
    at = end;
  }
  made.push(characters.slice(at).join(""));
  return made;
}
