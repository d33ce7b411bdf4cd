// One request beside the list: on wide windows its row opens a panel, and the address is its page's.
// Back and Escape close it; a reload, a middle click or a narrow window lead to the page itself.
(() => {
  'use strict';

  const wide = matchMedia('(min-width: 1200px)');
  const panel = () => document.getElementById('call-panel');
  const isOpen = () => Boolean(panel() && panel().open);
  const rows = () => [...document.querySelectorAll('#rows .opens')];
  const current = () => document.querySelector('#rows [aria-current]');
  let asked;
  let listTitle = '';

  function mark(address) {
    for (const row of rows()) row.removeAttribute('aria-current');
    const id = new URL(address, location.href).pathname.split('/').pop();
    const row = document.getElementById(`r-${id}`);
    if (!row) return;
    row.setAttribute('aria-current', 'true');
    row.scrollIntoView({ block: 'nearest' });
  }

  async function show(address, { push = true } = {}) {
    if (asked) asked.abort();
    asked = new AbortController();
    const { signal } = asked;
    const box = panel();
    const detail = document.getElementById('call-detail');
    mark(address);
    box.setAttribute('aria-busy', 'true');
    try {
      const answer = await fetch(address, {
        headers: { 'HX-Request': 'true', 'HX-Target': detail.id }, signal,
      });
      // Signed out, gone or broken: the page itself says so best.
      if (answer.status !== 200 || answer.redirected || answer.headers.has('HX-Redirect')) throw new Error('no fragment');
      const holder = document.createElement('template');
      holder.innerHTML = await answer.text();
      if (signal.aborted) return;
      const title = holder.content.querySelector('title');
      if (!isOpen()) listTitle = document.title;
      if (push) remember(address);
      if (title) { document.title = title.textContent; title.remove(); }
      detail.replaceChildren(holder.content);
      window.htmx.process(detail);
      document.getElementById('call-page').href = address;
      if (!isOpen()) box.show();
      box.scrollTop = 0;
      box.removeAttribute('aria-busy');
    } catch (error) {
      if (error.name !== 'AbortError') location.assign(address);
    }
  }

  // From row to row the address changes in place, so that Back always closes.
  function remember(address) {
    if (isOpen()) {
      history.replaceState({ panel: true }, '', address);
    } else {
      // htmx brings the list back where this script is not at hand any more.
      history.replaceState({ ...history.state, htmx: true }, '');
      history.pushState({ panel: true }, '', address);
    }
  }

  function close() {
    if (asked) asked.abort();
    const row = current();
    panel().close();
    document.getElementById('call-detail').replaceChildren();
    document.title = listTitle;
    if (!row) return;
    row.removeAttribute('aria-current');
    row.querySelector('a').focus();
  }

  // Back is what closes, so that the address goes with it.
  function leave() {
    if (history.state && history.state.panel) history.back();
    else close();
  }

  document.addEventListener('click', (event) => {
    if (event.target.closest('[data-close-panel]')) leave();
    if (event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
    const link = event.target.closest('#rows .opens a, #call-detail a[rel=prev], #call-detail a[rel=next]');
    if (!link || !panel() || !wide.matches) return;
    event.preventDefault();
    show(link.href);
  });

  const types = (target) => target.closest('input:not([type=checkbox]), textarea, select, [contenteditable]');
  addEventListener('keydown', (event) => {
    if (!isOpen() || event.defaultPrevented || document.querySelector('dialog:modal')) return;
    if (event.key === 'Escape' && !event.target.closest('details.more[open]')) {
      event.preventDefault();
      leave();
      return;
    }
    const step = { j: 1, k: -1 }[event.key];
    if (!step || types(event.target) || document.documentElement.dataset.keys === 'off') return;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const all = rows();
    const next = all[all.indexOf(current()) + step];
    event.stopImmediatePropagation();
    event.preventDefault();
    if (next) show(next.querySelector('a').href);
  }, true);

  addEventListener('popstate', (event) => {
    const wanted = Boolean(event.state && event.state.panel);
    const here = Boolean(panel() && wide.matches);
    if (wanted && here) {
      event.stopImmediatePropagation();
      show(location.href, { push: false });
    } else if (isOpen()) {
      event.stopImmediatePropagation();
      close();
    } else if (wanted || !panel()) {
      // The page in this address was not drawn by this one, or has other scripts.
      event.stopImmediatePropagation();
      location.reload();
    }
  }, true);

  // Another list, or a window that has no room any more.
  document.addEventListener('htmx:afterSwap', (event) => {
    if (event.detail.target && event.detail.target.id === 'results' && isOpen()) {
      panel().close();
    }
  });
  wide.addEventListener('change', () => { if (!wide.matches && isOpen()) location.reload(); });
})();
