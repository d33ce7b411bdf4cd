// The playground: one request a column, answers as they stream, state in the address.
(() => {
  'use strict';

  const form = document.getElementById('ask');
  if (!form) return;
  const answers = document.getElementById('answers');
  const template = document.getElementById('answer');
  const go = document.getElementById('go');
  const stop = document.getElementById('stop');
  const aloud = document.getElementById('told-aloud');
  const KEPT = ['temperature', 'max_tokens', 'priority'];
  let running = [];

  for (const one of form.querySelectorAll('.scripted')) one.hidden = false;

  const models = () => [...form.querySelectorAll('[name=model]')]
    .map((field) => field.value.trim()).filter((name) => name);
  const value = (name) => form.elements[name].value.trim();
  const toast = (text, bad) => document.dispatchEvent(new CustomEvent('toast', { detail: { text, bad } }));

  // Everything but the words is in the address, so that it can be shared and reloaded.
  function keep() {
    const query = new URLSearchParams(models().map((name) => ['model', name]));
    for (const name of KEPT) if (value(name)) query.set(name, value(name));
    history.replaceState(history.state, '', query.size ? `?${query}` : location.pathname);
  }
  form.addEventListener('change', keep);

  function complain(errors) {
    for (const box of form.querySelectorAll('[id$="-error"]')) {
      const name = box.id.slice(0, -'-error'.length);
      box.textContent = errors[name] || '';
      box.hidden = !errors[name];
      for (const field of form.querySelectorAll(`[name="${name}"]`)) {
        if (errors[name]) field.setAttribute('aria-invalid', 'true');
        else field.removeAttribute('aria-invalid');
      }
    }
    const first = form.querySelector('[aria-invalid]');
    if (!first) return;
    const fold = first.closest('details');
    if (fold) fold.open = true;
    first.focus();
  }

  function column(name, number) {
    const card = template.content.cloneNode(true).firstElementChild;
    card.querySelector('bdi').textContent = name;
    card.querySelector('h2').id = `asked-${number}`;
    card.setAttribute('aria-labelledby', `asked-${number}`);
    card.querySelector('.text').setAttribute('aria-label', `Answer of ${name}`);
    card.querySelector('[data-stop]').setAttribute('aria-label', `Stop ${name}`);
    answers.append(card);
    return card;
  }

  function end(card, state, tone) {
    const badge = card.querySelector('.state');
    badge.textContent = state;
    badge.className = `badge state ${tone}`;
    card.querySelector('.text').setAttribute('aria-busy', 'false');
    const own = card.querySelector('[data-stop]');
    const again = card.querySelector('[data-again]');
    const held = document.activeElement === own;
    own.hidden = true;
    again.hidden = tone === 'ok';
    // The focus stays near while others run.
    if (held && !stop.hidden) stop.focus();
  }

  // What a call cost whose end was not waited for: it is written down a moment later.
  const LOOKS = 12;
  async function lookUp(card) {
    const id = card.dataset.call;
    if (!id) return;
    const box = document.createElement('div');
    box.className = 'told';
    box.textContent = 'Looking up what it cost…';
    card.querySelector('.told').append(box);
    for (let look = 0; look < LOOKS && card.isConnected && card.dataset.call === id; look += 1) {
      await new Promise((done) => { setTimeout(done, look ? 1000 : 300); });
      try {
        const answer = await fetch(`${form.dataset.told}${id}`);
        if (answer.status === 200 && !answer.redirected) { box.innerHTML = await answer.text(); return; }
      } catch { /* Offline: the next look may be luckier. */ }
    }
    box.innerHTML = '<p class="muted">It is not written down yet. <a>Look under Requests</a> in a moment.</p>';
    box.querySelector('a').href = `/requests/${id}`;
  }

  function failed(card, text) {
    const box = document.createElement('div');
    box.className = 'banner bad';
    box.textContent = text;
    card.querySelector('.told').replaceChildren(box);
    end(card, 'Failed', 'bad');
    lookUp(card);
  }

  // Lines of JSON, however the network cuts them.
  async function* lines(body) {
    const reader = body.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (;;) {
      const { value: piece, done } = await reader.read();
      if (done) return;
      const parts = (rest + piece).split('\n');
      rest = parts.pop();
      for (const part of parts) if (part) yield JSON.parse(part);
    }
  }

  async function ask(card, name, stopper) {
    const said = new FormData(form);
    said.set('model', name);
    const answer = await fetch(form.dataset.run, { method: 'POST', body: said, signal: stopper.signal });
    if (answer.redirected) { location.assign(answer.url); return; }
    if (answer.status === 422) {
      complain((await answer.json()).errors);
      card.remove();
      return;
    }
    if (!answer.ok) {
      failed(card, answer.status === 403 ? 'You may not send from here any more. Reload the page.'
        : `That did not work (${answer.status}). Try again in a moment.`);
      return;
    }
    const text = card.querySelector('.text');
    let told = false;
    for await (const line of lines(answer.body)) {
      if (line.id) {
        card.dataset.call = line.id;
      } else if (line.text !== undefined) {
        if (!text.textContent) card.querySelector('.state').textContent = 'Streaming';
        const follows = text.scrollHeight - text.scrollTop - text.clientHeight < 40;
        text.append(line.text);
        if (follows) text.scrollTop = text.scrollHeight;
      } else {
        told = true;
        card.querySelector('.told').innerHTML = line.told;
        end(card, line.failed ? 'Failed' : 'Done', line.failed ? 'bad' : 'ok');
      }
    }
    if (!told) failed(card, 'The connection ended before the answer did.');
  }

  async function send() {
    if (running.length) return;
    complain({});
    keep();
    answers.replaceChildren();
    const names = models();
    await run((names.length ? names : ['auto']).map((name, at) => column(name, at + 1)));
  }

  function start(card) {
    const stopper = new AbortController();
    const done = ask(card, card.querySelector('bdi').textContent, stopper).catch((error) => {
      if (error.name !== 'AbortError') {
        failed(card, 'You seem to be offline, or the server went away. Try again.');
        return;
      }
      end(card, 'Stopped', 'warn');
      lookUp(card);
    });
    card.querySelector('[data-stop]').hidden = false;
    return { card, stopper, done };
  }

  async function run(cards) {
    running = cards.map(start);
    for (const one of answers.querySelectorAll('[data-again]')) one.disabled = true;
    go.disabled = true;
    stop.hidden = false;
    aloud.textContent = 'Asking…';
    await Promise.all(running.map((one) => one.done));
    running = [];
    for (const one of answers.querySelectorAll('[data-again]')) one.disabled = false;
    go.disabled = false;
    if (document.activeElement === stop) go.focus();
    stop.hidden = true;
    const states = [...answers.querySelectorAll('.answer')].map((card) => (
      `${card.querySelector('bdi').textContent}: ${card.querySelector('.state').textContent}`));
    aloud.textContent = states.join('. ');
  }

  form.addEventListener('submit', (event) => { event.preventDefault(); send(); });
  form.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      send();
    }
  });
  answers.addEventListener('click', (event) => {
    const own = event.target.closest('[data-stop]');
    const card = own && own.closest('.answer');
    for (const one of running) if (one.card === card) one.stopper.abort();
  });
  // One column once more, with the words as they stand now; the others stay.
  answers.addEventListener('click', (event) => {
    const again = event.target.closest('[data-again]');
    if (!again || running.length) return;
    const card = again.closest('.answer');
    delete card.dataset.call;
    complain({});
    again.hidden = true;
    card.querySelector('.text').replaceChildren();
    card.querySelector('.text').setAttribute('aria-busy', 'true');
    card.querySelector('.told').replaceChildren();
    card.querySelector('.state').textContent = 'Waiting';
    card.querySelector('.state').className = 'badge plain state';
    run([card]);
    stop.focus();
  });
  stop.addEventListener('click', () => { for (const one of running) one.stopper.abort(); });

  function messages() {
    if (value('messages')) return JSON.parse(value('messages'));
    const system = value('system') ? [{ role: 'system', content: value('system') }] : [];
    return [...system, { role: 'user', content: value('prompt') }];
  }

  // The same question to the first model, for a terminal or a program.
  function written(as) {
    const { base, variable } = form.dataset;
    const body = { model: models()[0] || 'auto', messages: messages() };
    if (value('temperature')) body.temperature = Number(value('temperature'));
    if (value('max_tokens')) body.max_tokens = Number(value('max_tokens'));
    const priority = value('priority');
    if (as === 'curl') {
      const header = priority ? `  -H "x-router-priority: ${priority}" \\\n` : '';
      // In single quotes only a single quote has to be written another way.
      const text = JSON.stringify(body).replaceAll("'", "'\\''");
      return `curl ${base}/chat/completions \\\n  -H "Authorization: Bearer $${variable}" \\\n`
        + `  -H "Content-Type: application/json" \\\n${header}  -d '${text}'`;
    }
    const given = Object.entries(body).map(([name, one]) => `    ${name}=${python(one)},\n`).join('');
    const extra = priority ? `    extra_headers={"x-router-priority": "${priority}"},\n` : '';
    return `import os\n\nfrom openai import OpenAI\n\nclient = OpenAI(\n    base_url="${base}",\n`
      + `    api_key=os.environ["${variable}"],\n)\nanswer = client.chat.completions.create(\n`
      + `${given}${extra})\nprint(answer.choices[0].message.content)\n`;
  }

  // JSON as Python writes it.
  function python(one) {
    if (one === null) return 'None';
    if (one === true) return 'True';
    if (one === false) return 'False';
    if (Array.isArray(one)) return `[${one.map(python).join(', ')}]`;
    if (typeof one === 'object') {
      return `{${Object.entries(one).map(([name, inner]) => `${JSON.stringify(name)}: ${python(inner)}`).join(', ')}}`;
    }
    return JSON.stringify(one);
  }

  form.addEventListener('click', async (event) => {
    const button = event.target.closest('[data-copy-as]');
    if (!button) return;
    try {
      await navigator.clipboard.writeText(written(button.dataset.copyAs));
      toast('Copied.');
    } catch (error) {
      toast(error instanceof SyntaxError ? 'The messages are not JSON.'
        : 'The browser did not allow copying.', true);
    }
  });
})();
