import { createHash } from 'node:crypto'

const style = `
:root { color-scheme: light dark; font: 1.05rem/1.5 system-ui, sans-serif; }
body { max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid currentColor; border-radius: .4rem; }
button, input { font: inherit; padding: .5rem .9rem; }
input { width: 100%; box-sizing: border-box; margin: .25rem 0 1rem; }
.words { font-size: 1.3rem; font-weight: 600; }
[hidden] { display: none; }
`

// In a browser's own words: nothing is loaded, and what the service says is only ever put in as text.
const script = `
const token = location.hash.slice(1);
history.replaceState(null, '', location.pathname);
const at = (id) => document.getElementById(id);
const say = (text) => { at('said').textContent = text; };
const show = (id) => { at(id).hidden = false; };

async function call(what, body) {
  const answer = await fetch('/console/passkey/' + what, {
    method: 'POST', headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ token, ...body }),
  });
  const told = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(told.detail || 'the service answered ' + answer.status);
  return told;
}

const words = (text) => text.trim().toLowerCase().split(/\\s+/).map((word) => word.replace(/^\\d+[.)]/, '')).filter(Boolean);

function wrongWord(typed, expected) {
  const [left, right] = [words(typed), words(expected)];
  for (let n = 0; n < Math.max(left.length, right.length); n += 1) if (left[n] !== right[n]) return n + 1;
  return 0;
}

async function register(asked) {
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(asked.publicKey);
  const { id, response } = (await navigator.credentials.create({ publicKey })).toJSON();
  const { clientDataJSON, attestationObject } = response;
  const made = await call('answer', { id, clientDataJSON, attestationObject });
  say('The passkey of ' + made.person + ' is made. Read these words to the operator, by telephone or in person: '
    + 'a passkey with other words is not yours.');
  at('words').textContent = made.words;
  show('words');
}

async function accept(asked) {
  const wrong = wrongWord(at('typed').value, asked.words);
  if (wrong > 0) throw new Error('word ' + wrong + ' is another one: this is not the roster that was reviewed. Sign nothing, and tell the operator.');
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(asked.publicKey);
  const { id, response } = (await navigator.credentials.get({ publicKey })).toJSON();
  const { clientDataJSON, authenticatorData, signature } = response;
  await call('answer', { id, clientDataJSON, authenticatorData, signature });
  at('ask').hidden = true;
  say('Signed. The operator can fetch it now, and this page can be closed.');
}

function offer(asked) {
  const does = asked.does === 'register' ? register : accept;
  at('title').textContent = asked.does === 'register'
    ? 'A passkey for ' + asked.person : asked.person + ' signs who the officers are';
  if (asked.does === 'accept') {
    at('roster').textContent = asked.lines.join('\\n');
    show('ask');
  }
  say(asked.does === 'register'
    ? 'It will sign what you approve here, and at no other address. The link works once.'
    : 'You sign all of this. Read it, then type the eight words that "policy check" printed at the review.');
  at('go').textContent = asked.does === 'register' ? 'Make a passkey' : 'Sign with my passkey';
  show('go');
  at('go').onclick = async () => {
    at('go').disabled = true;
    try {
      await does(asked);
      at('go').hidden = true;
    } catch (error) {
      say(error.name === 'NotAllowedError' ? 'The browser was not allowed to: try again.' : error.message);
      at('go').disabled = false;
    }
  };
}

// Another link in the same tab is another page.
addEventListener('hashchange', () => location.reload());
if (token === '') say('Open the whole link that the operator gave you: the part behind # is missing.');
else if (!window.PublicKeyCredential || !PublicKeyCredential.parseCreationOptionsFromJSON) say('This browser knows no passkeys, or is too old: open the link in another one.');
else call('open', {}).then(offer, (error) => say(error.message));
`

const hashOf = (text: string) => createHash('sha256').update(text).digest('base64')

export const passkeyPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Holdfast: passkey</title>
<style>${style}</style>
<h1 id="title">Passkey</h1>
<p id="said" role="status" aria-live="polite">Asking the service …</p>
<p id="words" class="words" hidden></p>
<div id="ask" hidden>
<pre id="roster"></pre>
<label for="typed">The eight words of the roster</label>
<input id="typed" autocomplete="off" autocapitalize="none" spellcheck="false">
</div>
<button id="go" hidden></button>
<noscript><p>A browser uses passkeys by JavaScript only.</p></noscript>
<script>${script}</script>
</html>
`

/** This very script and style, calls to this origin alone, and in nobody's frame. */
export const passkeyPagePolicy = [
  "default-src 'none'",
  `script-src 'sha256-${hashOf(script)}'`,
  `style-src 'sha256-${hashOf(style)}'`,
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')
