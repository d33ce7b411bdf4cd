// Passkeys and security keys: a form marked data-key asks the browser for a credential before it
// is sent. What the server offers stands in data-options, or is fetched from data-options-from.
(() => {
  'use strict';

  const words = {
    NotAllowedError: 'The browser stopped: the key was not used in time, or you cancelled. Try again.',
    InvalidStateError: 'This key belongs to your account already. Use another one.',
    SecurityError: 'Security keys need this page to be opened by https:// and under its own name.',
  };

  async function offered(form) {
    if (!form.dataset.optionsFrom) return JSON.parse(form.dataset.options);
    const answer = await fetch(form.dataset.optionsFrom, { headers: { Accept: 'application/json' } });
    if (!answer.ok) throw new Error('offline');
    return answer.json();
  }

  async function credential(form) {
    const options = await offered(form);
    if (form.dataset.key === 'use') return window.webauthnJSON.get(options.request_options);
    const wanted = options.creation_options;
    const passwordless = form.elements.passwordless;
    const selection = wanted.publicKey.authenticatorSelection;
    if (passwordless) {
      selection.residentKey = passwordless.checked ? 'required' : 'discouraged';
      selection.requireResidentKey = passwordless.checked;
      if (passwordless.checked) selection.userVerification = 'required';
    }
    return window.webauthnJSON.create(wanted);
  }

  document.addEventListener('submit', async (event) => {
    const form = event.target.closest('form[data-key]');
    if (!form) return;
    event.preventDefault();
    const said = form.querySelector('[data-key-said]');
    said.hidden = true;
    try {
      form.elements.credential.value = JSON.stringify(await credential(form));
      form.submit();
    } catch (why) {
      said.textContent = words[why.name] || 'That did not work. Try again, or use another way.';
      said.hidden = false;
    }
  });
})();
