import { createTheme, Drawer, DrawerRoot, Modal, ModalRoot, Tooltip } from "@mantine/core";

/** What the component library cannot take from `global.css`. Its variables are static files, so that no style is injected. */
export const theme = createTheme({
  primaryColor: "indigo",
  defaultRadius: "sm",
  cursorType: "pointer",
  respectReducedMotion: true,
  components: {
    // Locking the scroll injects a <style> element, which the content security policy forbids.
    Modal: Modal.extend({ defaultProps: { lockScroll: false, centered: true } }),
    ModalRoot: ModalRoot.extend({ defaultProps: { lockScroll: false } }),
    Drawer: Drawer.extend({ defaultProps: { lockScroll: false, position: "right" } }),
    DrawerRoot: DrawerRoot.extend({ defaultProps: { lockScroll: false, position: "right" } }),
    Tooltip: Tooltip.extend({ defaultProps: { withArrow: true, multiline: true, maw: 320, openDelay: 200, events: { hover: true, focus: true, touch: true } } }),
  },
});
