// What HTML and htmx cannot do alone: toasts, a value put back after a failed save, copying.
// All names of htmx events are in this file.
(() => {
  'use strict';

  const TOAST_MS = 7000;

  // Toasts stay while the pointer or the focus is on them.
  function toast(text, bad) {
    const box = document.createElement('div');
    box.className = bad ? 'toast bad' : 'toast';
    const words = document.createElement('span');
    words.textContent = text;
    const close = document.createElement('button');
    close.type = 'button';
    close.setAttribute('aria-label', 'Dismiss');
    close.textContent = '✕';
    close.addEventListener('click', () => box.remove());
    box.append(words, close);
    let timer;
    const start = () => { timer = setTimeout(() => box.remove(), TOAST_MS); };
    const stop = () => clearTimeout(timer);
    for (const name of ['mouseenter', 'focusin']) box.addEventListener(name, stop);
    for (const name of ['mouseleave', 'focusout']) box.addEventListener(name, start);
    document.getElementById('toasts').append(box);
    start();
  }

  // The server sends {"toast": {"text": …}} and {"theme": {"value": …}} in HX-Trigger.
  document.addEventListener('toast', (event) => toast(event.detail.text, event.detail.bad));
  document.addEventListener('theme', (event) => {
    document.documentElement.dataset.theme = event.detail.value;
    for (const button of document.querySelectorAll('.theme button')) {
      button.setAttribute('aria-pressed', String(button.value === event.detail.value));
    }
  });

  // A field's form holds `was`, the value that is stored: what a failed save goes back to.
  function putBack(element) {
    const form = element.closest('form');
    if (!form) return;
    const was = form.elements.was;
    const input = form.querySelector('input[name=value]:not([type=radio])');
    if (was && input) {
      input.value = was.value;
      input.removeAttribute('aria-invalid');
    } else {
      form.reset();
    }
  }

  // What the page shows now is what a failed request goes back to.
  function keep(form) {
    for (const field of form.elements) {
      for (const option of field.options || []) option.defaultSelected = option.selected;
      if (field.type === 'checkbox' || field.type === 'radio') field.defaultChecked = field.checked;
      else if (field.matches('input:not([type=hidden]), textarea')) field.defaultValue = field.value;
    }
  }

  function failed(event) {
    if (polls(event.detail.elt)) return;
    const status = event.detail.xhr ? event.detail.xhr.status : 0;
    putBack(event.detail.elt);
    toast(status ? `That did not work (${status}). Nothing was changed.`
      : 'You seem to be offline. Nothing was changed.', true);
  }
  for (const name of ['htmx:responseError', 'htmx:sendError', 'htmx:timeout']) {
    document.addEventListener(name, failed);
  }

  // A request that a newer one replaces (hx-sync) is no error, though htmx logs one unless told.
  const sent = new WeakMap();
  document.addEventListener('htmx:beforeSend', (event) => sent.set(event.detail.elt, event.detail));
  document.addEventListener('htmx:abort', (event) => {
    const request = sent.get(event.target);
    if (request) request.error = null;
  }, true);

  // Each step back or forward asks for its page; the answer to an earlier step comes too late.
  let restoring = null;
  function forget() {
    if (restoring) restoring.abort();
    restoring = null;
  }
  document.addEventListener('htmx:historyCacheMiss', (event) => {
    forget();
    restoring = event.detail.xhr;
  });
  document.addEventListener('htmx:pushedIntoHistory', forget);

  // 422: the value is refused, and the message beside it says why. 2xx: it is stored now.
  document.addEventListener('htmx:afterRequest', (event) => {
    const form = event.detail.elt;
    const status = event.detail.xhr ? event.detail.xhr.status : 0;
    if (form.matches('form[hx-get]') && status === 200) keep(form);
    if (!form.matches('form.control') || !status) return;
    const input = form.querySelector('input[name=value]:not([type=radio])');
    if (input && status === 422) input.setAttribute('aria-invalid', 'true');
    if (status < 200 || status >= 300) return;
    if (input) input.removeAttribute('aria-invalid');
    keep(form);
  });

  // "Saved" is said of what is in the field, so it goes as soon as that changes.
  document.addEventListener('input', (event) => {
    const form = event.target.closest('form.control');
    const said = form && form.querySelector('.message:not(.conflict)');
    if (said) said.remove();
  });

  // A hidden tab asks for nothing. (A filter on the trigger would need eval.)
  const polls = (element) => element.dataset.poll !== undefined;
  document.addEventListener('htmx:beforeRequest', (event) => {
    if (document.hidden && polls(event.detail.elt)) event.preventDefault();
  });

  // Enter in a field that changed makes a browser say both change and submit: one is enough.
  const changed = new WeakSet();
  document.addEventListener('htmx:confirm', (event) => {
    const form = event.detail.elt;
    const cause = event.detail.triggeringEvent;
    if (!cause || !form.matches('form[hx-get]')) return;
    if (cause.type === 'submit' && changed.has(form)) event.preventDefault();
    if (cause.type !== 'change') return;
    changed.add(form);
    setTimeout(() => changed.delete(form));
  });

  // Addresses say only what is filtered.
  document.addEventListener('htmx:configRequest', (event) => {
    if (event.detail.verb !== 'get') return;
    for (const [name, value] of Object.entries(event.detail.parameters)) {
      if (value === '') delete event.detail.parameters[name];
    }
  });

  // After a swap by keyboard the focus goes on with the new content.
  let byKeyboard = false;
  addEventListener('keydown', () => { byKeyboard = true; }, true);
  addEventListener('pointerdown', () => { byKeyboard = false; }, true);
  document.addEventListener('htmx:afterSettle', (event) => {
    const target = event.detail.target && document.getElementById(event.detail.target.id);
    const lost = document.activeElement === document.body;
    if (byKeyboard && target && (target.id === 'panel' || (lost && target.matches('[data-refocus]')))) {
      target.focus();
    }
  });

  // A list to pick from: words narrow it, arrows walk it, Escape closes it where it was opened.
  const picks = (pick) => [...pick.querySelectorAll('.picks-list > *')].filter((one) => !one.hidden);
  document.addEventListener('toggle', (event) => {
    const pick = event.target;
    if (!pick.matches('.pick') || !pick.open) return;
    for (const other of document.querySelectorAll('.pick[open]')) if (other !== pick) other.open = false;
    const first = pick.querySelector('.picks-words') || picks(pick)[0];
    if (first) first.focus();
  }, true);
  document.addEventListener('input', (event) => {
    const pick = event.target.closest('.pick');
    if (!pick || !event.target.matches('.picks-words')) return;
    const words = event.target.value.trim().toLowerCase();
    for (const one of pick.querySelectorAll('.picks-list button')) {
      one.hidden = !one.textContent.toLowerCase().includes(words);
    }
    pick.querySelector('.none').hidden = picks(pick).length > 0;
  });
  document.addEventListener('keydown', (event) => {
    const pick = event.target.closest('.pick[open]');
    if (!pick) return;
    const found = picks(pick);
    const at = found.indexOf(document.activeElement);
    if (event.key === 'Escape') {
      pick.open = false;
      pick.querySelector('summary').focus();
    } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const next = found[at + (event.key === 'ArrowDown' ? 1 : -1)];
      const to = next || pick.querySelector('.picks-words') || found[0];
      if (!to) return;
      to.focus();
      event.preventDefault();
    } else if (event.key === 'Enter' && event.target.matches('.picks-words')) {
      event.preventDefault();
      if (found[0]) found[0].click();
    }
  });
  document.addEventListener('click', (event) => {
    for (const pick of document.querySelectorAll('.pick[open]')) {
      if (!pick.contains(event.target)) pick.open = false;
    }
  });

  // A new organization's time zone starts as the browser's.
  const zones = document.querySelector('[data-own-zone]');
  if (zones && zones.value === 'UTC') {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    // Some browsers say the old name of a zone, which is taken too.
    if (own && ![...zones.options].some((option) => option.value === own)) zones.append(new Option(own, own));
    if (own) zones.value = own;
  }

  document.addEventListener('click', async (event) => {
    const button = event.target.closest('[data-copy]');
    if (!button) return;
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.content ? source.content.textContent : source.textContent);
      toast('Copied.');
    } catch {
      toast('The browser did not allow copying. Select the text and copy it.', true);
    }
  });
})();
