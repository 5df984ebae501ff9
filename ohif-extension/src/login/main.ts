// The log-in: a page of its own that loads in an instant, and says in plain words why it refuses.
import './login.css';
import { clockTime, zoneName } from '../ui/time';

type Problem = {
  code?: string;
  detail?: string;
  field?: string;
  tenants?: (string | { tenant_id?: string; id?: string; name?: string })[];
};

const ICONS: Record<string, string> = {
  mark: '<path d="M2.75 13.25V5.5a2.75 2.75 0 0 1 2.75-2.75h5a2.75 2.75 0 0 1 2.75 2.75v7.75zM8 5.75V9l2.25 1.5"/>',
  alert: '<path d="M8 2.5 14 13H2z"/><path d="M8 6.5v3M8 11.4v.1"/>',
  pulse: '<path d="M1.5 8.5h3l2-4.5 3 8 2-3.5h3"/>',
};
const icon = (name: string): string =>
  `<svg class="i" viewBox="0 0 16 16" aria-hidden="true">${ICONS[name] ?? ''}</svg>`;
const CAPS =
  '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M8 2.25 14.25 13.5H1.75z" fill="none" stroke="currentColor" stroke-width="1.75" stroke-linejoin="round"/><path d="M4.6 8.75h6.8l2.35 4.5H2.25z" fill="currentColor"/></svg>';

const PAGE = `
<main>
  <form novalidate>
    <div class="hd">${icon('mark')}<h1>Reading Room</h1><p class="quiet" data-lead>Sign in to read. Your sites follow your account.</p></div>
    <p class="err" role="alert" data-error hidden>${icon('alert')}<span></span></p>
    <div class="who" data-who>
      <label class="field"><span class="label">E-mail</span><input class="input" name="email" type="email" autocomplete="username" required></label>
      <div class="field"><label class="label" for="password">Password</label><input id="password" class="input" name="password" type="password" autocomplete="current-password" aria-describedby="caps" required><span class="cap" id="caps" hidden>${CAPS}Caps Lock is on</span></div>
      <label class="field" data-otp hidden><span class="label">Code of your authenticator</span><input class="input" name="otp" inputmode="numeric" autocomplete="one-time-code" maxlength="8"></label>
      <button class="btn go" type="submit">Sign in</button>
    </div>
    <div class="groups" data-groups hidden></div>
  </form>
</main>
<footer><span class="live" role="status" data-live>${icon('pulse')}<span>Connecting</span></span><span data-time></span></footer>`;

const app = document.querySelector<HTMLElement>('#app') ?? document.body;
app.innerHTML = PAGE;

function part<E extends HTMLElement>(selector: string): E {
  const found = app.querySelector<E>(selector);
  if (!found) throw new Error(`the page has no ${selector}`);
  return found;
}

const form = part<HTMLFormElement>('form');
const email = part<HTMLInputElement>('[name="email"]');
const password = part<HTMLInputElement>('[name="password"]');
const otp = part<HTMLInputElement>('[name="otp"]');
const button = part<HTMLButtonElement>('[type="submit"]');
const error = part<HTMLElement>('[data-error]');

/** Where to go afterwards: only a path of this very site. */
function destination(role: string): string {
  const next = new URLSearchParams(window.location.search).get('next') ?? '';
  if (/^\/(?![/\\])/.test(next) && !next.startsWith('/login')) return next;
  return role === 'manager' || role === 'admin' ? '/board' : '/';
}

function say(words: string, field: HTMLInputElement | null = null): void {
  error.hidden = words === '';
  part('[data-error] span').textContent = words;
  for (const input of [email, password, otp]) {
    if (input === field) input.setAttribute('aria-invalid', 'true');
    else input.removeAttribute('aria-invalid');
  }
  field?.focus();
}

function chooseGroup(tenants: NonNullable<Problem['tenants']>): void {
  const place = part('[data-groups]');
  part('[data-lead]').textContent = 'You belong to several groups. Choose one for now.';
  part('[data-who]').hidden = true;
  place.hidden = false;
  place.replaceChildren(
    ...tenants.map((tenant) => {
      const [id, name] =
        typeof tenant === 'string'
          ? [tenant, tenant]
          : [tenant.tenant_id ?? tenant.id ?? '', tenant.name ?? tenant.tenant_id ?? tenant.id ?? ''];
      const choice = document.createElement('button');
      choice.type = 'button';
      choice.className = 'btn';
      choice.textContent = name;
      choice.dir = 'auto';
      choice.addEventListener('click', () => void signIn(id));
      return choice;
    }),
  );
  place.querySelector('button')?.focus();
}

async function waitWords(response: Response): Promise<string> {
  const seconds = Number(response.headers.get('Retry-After') ?? 60);
  return `Too many tries. Wait ${seconds >= 90 ? `${Math.ceil(seconds / 60)} min` : `${seconds} s`}, then sign in again.`;
}

async function signIn(tenant?: string): Promise<void> {
  if (!email.value.trim()) return say('Write your e-mail address.', email);
  if (!password.value) return say('Write your password.', password);
  button.disabled = true;
  button.textContent = 'Signing in';
  try {
    const body = {
      email: email.value.trim(),
      password: password.value,
      ...(otp.value.trim() ? { otp: otp.value.trim() } : {}),
      ...(tenant ? { tenant } : {}),
    };
    const response = await fetch('/api/auth/login', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Accept: 'application/json' },
      body: JSON.stringify(body),
      credentials: 'same-origin',
    });
    if (response.ok) {
      const { user } = (await response.json()) as { user?: { role?: string } };
      window.location.assign(destination(user?.role ?? ''));
      return;
    }
    const problem = (await response.json().catch(() => ({}))) as Problem;
    if (problem.code === 'choose_tenant') {
      say('');
      return chooseGroup(problem.tenants ?? []);
    }
    if (response.status === 429) return say(await waitWords(response));
    if (problem.field === 'otp') {
      part('[data-otp]').hidden = false;
      return say(
        otp.value ? 'The code is wrong or was used already.' : 'Write the code of your authenticator too.',
        otp,
      );
    }
    if (response.status === 401) {
      password.value = '';
      return say('E-mail or password is wrong.', password);
    }
    if (response.status === 422)
      return say(problem.detail ?? 'This is not an e-mail address that we know how to read.', email);
    say(
      `The server is not ready. Nothing is lost, try again in a moment. ${problem.code ?? response.status}, ${clockTime(Date.now())}.`,
    );
  } catch {
    say('The server does not answer. Check the line, then sign in again.');
  } finally {
    button.disabled = false;
    button.textContent = 'Sign in';
  }
}

form.addEventListener('submit', (event) => {
  event.preventDefault();
  void signIn();
});
for (const type of ['keydown', 'keyup'] as const) {
  password.addEventListener(type, (event) => {
    part('#caps').hidden = !event.getModifierState?.('CapsLock');
  });
}

async function measure(): Promise<void> {
  const sign = part('[data-live]');
  const words = part('[data-live] > span');
  try {
    const before = performance.now();
    const response = await fetch('/healthz', { cache: 'no-store' });
    sign.dataset.s = response.ok ? 'up' : 'down';
    words.textContent = response.ok
      ? `Connected, ${Math.max(1, Math.round(performance.now() - before))} ms`
      : 'The server is starting';
  } catch {
    sign.dataset.s = 'down';
    words.textContent = 'No connection';
  }
}

const day = new Intl.DateTimeFormat('en-GB', { weekday: 'short', day: '2-digit', month: 'short', year: 'numeric' });
function tellTime(): void {
  const now = new Date();
  part('[data-time]').textContent =
    `${day.format(now).replace(',', '')}, ${clockTime(now.getTime())} ${zoneName(now.getTime())}`;
}

tellTime();
setInterval(tellTime, 5_000);
void measure();
setInterval(() => void measure(), 20_000);
email.focus();
