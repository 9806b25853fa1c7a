import DefaultTheme from 'vitepress/theme-without-fonts'
import { nextTick } from 'vue'
import './style.css'

export default {
  extends: DefaultTheme,
  enhanceApp({ router }) {
    if (import.meta.env.SSR) return
    router.onAfterRouteChange = async () => {
      await nextTick()
      const content = document.getElementById('VPContent')
      if (content?.querySelector('.VPHome')) content.setAttribute('role', 'main')
      else content?.removeAttribute('role')
    }
  }
}
