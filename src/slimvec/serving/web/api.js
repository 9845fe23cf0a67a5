// Requests to this server. A key is kept for this tab alone.

import { find, say } from "./dom.js";

const KEY = "slimvec-key";

function headers() {
  const key = sessionStorage.getItem(KEY);
  return { "Content-Type": "application/json", ...(key ? { Authorization: `Bearer ${key}` } : {}) };
}

export async function ask(path, body) {
  const settings = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const answer = await fetch(path, { headers: headers(), ...settings });
  const found = await answer.json();
  if (answer.status === 401) find("key-form").hidden = false;
  if (!answer.ok) throw new Error(found.error.message);
  return found;
}

// Do something for a form's button: what goes wrong is said, and a second click waits for the first.
export function onSubmit(id, act) {
  const form = find(id);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (form.ariaBusy === "true") return;
    form.ariaBusy = "true";
    say("Working …");
    try {
      await act(form);
    } catch (error) {
      say(error.message, { error: true });
    } finally {
      form.ariaBusy = "false";
    }
  });
}

export function takeKey(again) {
  find("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    sessionStorage.setItem(KEY, find("key").value.trim());
    find("key").value = "";
    find("key-form").hidden = true;
    again();
  });
}
