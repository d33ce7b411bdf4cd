// Opens a page's dialogs; without scripts each opener is a link to a page with the same form.
(() => {
  'use strict';

  document.addEventListener('click', (event) => {
    const opener = event.target.closest('[data-opens]');
    if (opener) {
      const dialog = document.getElementById(opener.dataset.opens);
      if (!dialog || event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      dialog.showModal();
      return;
    }
    const closer = event.target.closest('[data-closes]');
    const open = closer && closer.closest('dialog');
    if (open) {
      event.preventDefault();
      open.close();
    }
  });

  // What belongs to one choice is shown with it: data-shows="expires=at".
  function match(form) {
    for (const part of form.querySelectorAll('[data-shows]')) {
      const [name, value] = part.dataset.shows.split('=');
      const field = form.elements[name];
      if (field) part.hidden = field.value !== value;
    }
  }
  document.addEventListener('change', (event) => {
    const form = event.target.closest('form');
    if (form) match(form);
  });
  for (const form of document.forms) match(form);
})();
