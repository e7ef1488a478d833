// What all pages with a panel share: to look up, to tell, and to ask the server.
const find = (id) => document.getElementById(id);
const panel = find("panel");
const chosen = () => panel.querySelector("input[name=model]:checked");
const wait = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
const say = (text) => { find("status").textContent = text; };

// Chooses the model that the address of the page names.
function follow(link) {
  const linked = new URLSearchParams(location.search).get(link);
  for (const radio of panel.querySelectorAll("input[name=model]")) if (radio.value === linked) radio.checked = true;
}

// Returns what does something once the handle that calls it has come to rest.
let waiting = 0;
function rested(act) {
  return () => {
    clearTimeout(waiting);
    waiting = setTimeout(act, 350);
  };
}

function tell(sentence) {
  find("problem").textContent = sentence;
  find("problem").hidden = !sentence;
}

// Whoever is told to come again does so by himself, a few times.
async function ask(path, body, again = 3) {
  let answer;
  try {
    const headers = body instanceof FormData ? {} : { "Content-Type": "application/octet-stream" };
    answer = await fetch(path, { method: "POST", body, headers });
  } catch {
    throw new Error("The server does not answer. It may have been stopped: start it again, then choose once more.");
  }
  if (answer.ok) return answer.blob();
  const said = await answer.json().catch(() => ({ detail: `The server answered with status ${answer.status}.` }));
  const later = Number(answer.headers.get("Retry-After"));
  if (answer.status === 429 && again && later) {
    say(said.detail);
    await wait(Math.min(later, 15));
    return ask(path, body, again - 1);
  }
  throw new Error(said.detail);
}

// Hands a file to the browser, which puts it where downloads go.
function hand(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);
  say(`${name} was downloaded.`);
}
