// Questions before what cannot be taken back open as dialogs where there is JavaScript.
(() => {
  'use strict';

  document.addEventListener('htmx:afterSwap', (event) => {
    if (!event.detail.target || event.detail.target.id !== 'ask') return;
    const dialog = event.detail.target.querySelector('dialog');
    if (dialog && !dialog.open) dialog.showModal();
  });

  document.addEventListener('click', (event) => {
    if (event.target.closest('[data-close]')) event.target.closest('dialog').close();
  });
})();
