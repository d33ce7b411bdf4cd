// The keyboard: shortcuts that templates name by data-key, the palette, the dialogs.
//
// An element with data-key="g r" is followed on g, then r; one with data-key="x" on x. A field with
// data-key="/" gets the focus. In a list, j and k walk the links of its rows (tr.opens, .opens).
(() => {
  'use strict';

  const SEQUENCE_MS = 1200;
  const root = document.documentElement;
  let first = '';
  let firstAt = 0;

  const visible = (element) => element.checkVisibility({ visibilityProperty: true });
  const typing = (element) => element.closest('input:not([type=radio], [type=checkbox], [type=range]), textarea, select, [contenteditable]');
  // A radio group and a menu move by arrows themselves.
  const ownsArrows = (element) => element.closest('input, summary, [role=slider], [role=group] [role], .seg, .table, pre, canvas, .js-plotly-plot');

  function follow(key) {
    const found = [...document.querySelectorAll(`[data-key="${CSS.escape(key)}"]`)];
    // A link of the closed drawer or palette leads on as well; a control has to be there to see.
    const element = found.find(visible) || found.find((one) => one.matches('a'));
    if (!element) return false;
    if (element.matches('input:not([type=checkbox], [type=radio]), select, textarea')) {
      element.focus();
      if (element.select) element.select();
    } else {
      element.click();
    }
    return true;
  }

  function walk(step) {
    const links = [...document.querySelectorAll('main .opens a')].filter(visible);
    if (!links.length) return false;
    const at = links.indexOf(document.activeElement);
    const next = at < 0 ? (step > 0 ? 0 : links.length - 1) : at + step;
    const link = links[Math.max(0, Math.min(next, links.length - 1))];
    link.focus();
    link.closest('.opens').scrollIntoView({ block: 'nearest' });
    return true;
  }

  function open(id) {
    const dialog = document.getElementById(id);
    if (!dialog || dialog.open) return false;
    for (const menu of document.querySelectorAll('[popover]:popover-open')) menu.hidePopover();
    dialog.showModal();
    if (id === 'palette') {
      search.value = '';
      filter();
      search.focus();
      if (window.htmx) window.htmx.trigger('#palette-recent', 'palette-open');
    }
    return true;
  }

  document.addEventListener('click', (event) => {
    const button = event.target.closest('[data-dialog]');
    if (button) open(button.dataset.dialog);
    // The backdrop belongs to its dialog; what lies inside are the dialog's children.
    if (event.target.matches('dialog.dialog')) event.target.close();
  });

  document.addEventListener('keydown', (event) => {
    if ((event.ctrlKey || event.metaKey) && !event.altKey && !event.shiftKey && event.key.toLowerCase() === 'k') {
      if (open('palette')) event.preventDefault();
      return;
    }
    if (root.dataset.keys === 'off' || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.defaultPrevented || event.isComposing || document.querySelector('dialog[open]')) return;
    if (typing(event.target)) return;
    if (pressed(event)) event.preventDefault();
  });

  function pressed(event) {
    const { key } = event;
    if (first && event.timeStamp - firstAt < SEQUENCE_MS) {
      const sequence = `${first} ${key}`;
      first = '';
      return follow(sequence);
    }
    first = '';
    if (key === 'g') {
      first = key;
      firstAt = event.timeStamp;
      return false;
    }
    if (key === '?') return open('keys');
    if (key === 'j') return walk(1);
    if (key === 'k') return walk(-1);
    if (key === '/') return follow('/') || open('palette');
    if (key.startsWith('Arrow') && ownsArrows(event.target)) return false;
    return key.length === 1 || key.startsWith('Arrow') ? follow(key) : false;
  }

  document.addEventListener('keys', (event) => {
    root.dataset.keys = event.detail.value;
    for (const button of document.querySelectorAll('.keys-choice button')) {
      button.setAttribute('aria-pressed', String(button.value === event.detail.value));
    }
  });

  // The palette: words narrow the list, arrows walk it, Enter opens the first or the chosen one.
  const palette = document.getElementById('palette');
  if (!palette) return;
  const search = document.getElementById('palette-words');
  const links = () => [...palette.querySelectorAll('li a')].filter((link) => !link.parentElement.hidden);

  function filter() {
    const words = search.value.trim().toLowerCase().split(/\s+/);
    for (const item of palette.querySelectorAll('li')) {
      const text = item.textContent.toLowerCase();
      item.hidden = !words.every((word) => text.includes(word));
    }
    for (const list of palette.querySelectorAll('ul')) {
      const none = [...list.children].every((item) => item.hidden);
      list.hidden = none;
      if (list.previousElementSibling) list.previousElementSibling.hidden = none;
    }
    palette.querySelector('.none').hidden = links().length > 0;
  }

  search.addEventListener('input', filter);
  palette.addEventListener('htmx:afterSettle', filter);
  palette.addEventListener('keydown', (event) => {
    const found = links();
    const at = found.indexOf(document.activeElement);
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      const next = at + (event.key === 'ArrowDown' ? 1 : -1);
      (found[next] || search).focus();
      event.preventDefault();
    } else if (event.key === 'Enter' && event.target === search) {
      event.preventDefault();
      if (found[0]) found[0].click();
    }
  });
})();
