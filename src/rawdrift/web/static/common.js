// What all pages do: ask the server, and make elements. Names are only ever set as text.

const token = document.querySelector("meta[name=rawdrift-token]").content;

// The answer, as JSON, or with bytes what is said about them.
export async function ask(name, question) {
  const reply = await fetch(`/ask/${name}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Rawdrift": token },
    body: JSON.stringify(question),
  });
  if (!reply.ok) throw new Error((await reply.json()).error);
  const about = reply.headers.get("X-About");
  if (about === null) return reply.json();
  return { about: JSON.parse(about), bytes: new Uint8Array(await reply.arrayBuffer()) };
}

export function make(tag, text, kind = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (kind) made.className = kind;
  return made;
}
