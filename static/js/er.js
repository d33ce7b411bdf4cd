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

  // The control that a request came from: the one changed, or the form's only one.
  function controlOf(element) {
    const found = element.matches('input, select, textarea')
      ? element
      : element.querySelector('[data-stored]');
    return found && found.dataset.stored !== undefined ? found : null;
  }

  function putBack(element) {
    const control = controlOf(element);
    if (control) control.value = control.dataset.stored;
    const radios = element.matches('form') ? element.querySelectorAll('input[type=radio]') : [];
    for (const radio of radios) radio.checked = radio.defaultChecked;
  }

  function failed(event) {
    const status = event.detail.xhr ? event.detail.xhr.status : 0;
    putBack(event.detail.elt);
    toast(status ? `That did not work (${status}). Nothing was changed.`
      : 'You seem to be offline. Nothing was changed.', true);
  }
  for (const name of ['htmx:responseError', 'htmx:sendError', 'htmx:timeout']) {
    document.addEventListener(name, failed);
  }

  // 422: the value is refused, the message beside it says why. 2xx: it is what is stored now.
  document.addEventListener('htmx:afterRequest', (event) => {
    const control = controlOf(event.detail.elt);
    if (!control || !event.detail.xhr) return;
    const status = event.detail.xhr.status;
    if (status === 422) control.setAttribute('aria-invalid', 'true');
    if (status >= 200 && status < 300) {
      control.removeAttribute('aria-invalid');
      const stored = event.detail.xhr.getResponseHeader('X-Stored-Value');
      if (stored !== null) control.dataset.stored = stored;
    }
  });

  // A hidden tab asks for nothing.
  document.addEventListener('htmx:beforeRequest', (event) => {
    const by = event.detail.requestConfig.triggeringEvent;
    if (document.hidden && by === undefined && event.detail.elt.dataset.poll !== undefined) {
      event.preventDefault();
    }
  });

  // After a swap by keyboard the focus goes on with the new content.
  let byKeyboard = false;
  addEventListener('keydown', () => { byKeyboard = true; }, true);
  addEventListener('pointerdown', () => { byKeyboard = false; }, true);
  document.addEventListener('htmx:afterSettle', (event) => {
    if (byKeyboard && event.detail.target && event.detail.target.id === 'panel') {
      document.getElementById('panel').focus();
    }
  });

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
