// A saved number is shown as it is stored, once its field was left: never under the caret.
(() => {
  'use strict';

  const number = (text) => Number(text.replace(/[$,\s]|ms$/gi, ''));

  function settle(form) {
    const input = form && form.querySelector('input.num[name="value"]');
    const stored = form && form.querySelector('input[name="was"]');
    if (!input || !stored || input === document.activeElement) return;
    if (form.querySelector('.message.bad, .message.conflict')) return;
    // Another number is one that is still on its way.
    if (stored.value && number(input.value) === number(stored.value)) input.value = stored.value;
  }

  document.addEventListener('focusout', (event) => {
    const form = event.target.closest('form.control');
    if (form) setTimeout(() => settle(form));
  });
  document.addEventListener('htmx:afterSwap', (event) => settle(event.target.closest('form.control')));
})();
